import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Qpid JMS against a broker: java Strangers [CHECK...]; the environment is described in ../main.ts. */
public final class Strangers {
    private static final int DEADLINE_SECONDS = 60;

    interface Check {
        void run() throws Exception;
    }

    static final class Failed extends RuntimeException {
        private static final long serialVersionUID = 1;

        Failed(String message) {
            super(message);
        }
    }

    static void check(boolean condition, String otherwise) {
        if (!condition) throw new Failed(otherwise);
    }

    static void equal(Object actual, Object expected, String what) {
        check(Objects.equals(actual, expected), what + " is " + actual + ", not " + expected);
    }

    static void mustThrow(Class<? extends Exception> kind, String what, Check action) {
        try {
            action.run();
        } catch (Exception exception) {
            check(kind.isInstance(exception), what + " ended with " + exception + ", not " + kind.getSimpleName());
            return;
        }
        throw new Failed(what + " was let through");
    }

    /** Has the broker killed with -9 and started again on the same ports. */
    static void askForRestart() {
        System.out.println("restart");
    }

    static void waitForRestart() throws Exception {
        StringBuilder line = new StringBuilder();
        for (int next = System.in.read(); next >= 0 && next != '\n'; next = System.in.read()) line.append((char) next);
        equal(line.toString(), "restarted", "the answer to the wish for a restart");
    }

    private static boolean passes(String name, Check check) {
        CompletableFuture<Void> done = CompletableFuture.runAsync(() -> {
            try {
                check.run();
            } catch (Exception exception) {
                throw new IllegalStateException(exception);
            }
        });
        try {
            done.get(DEADLINE_SECONDS, TimeUnit.SECONDS);
            System.out.println("ok " + name);
            return true;
        } catch (TimeoutException exception) {
            System.out.println("FAIL " + name + ": nothing within " + DEADLINE_SECONDS + " s");
        } catch (Exception exception) {
            Throwable cause = exception;
            while (cause.getCause() != null && !(cause instanceof Failed)) cause = cause.getCause();
            System.out.println(("FAIL " + name + ": " + cause).replace('\n', ' '));
        }
        return false;
    }

    public static void main(String[] asked) {
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.putAll(Settlement.CHECKS);
        checks.putAll(Destinations.CHECKS);
        checks.putAll(Contents.CHECKS);
        checks.putAll(Connections.CHECKS);
        System.exit(passAll(checks, List.of(asked)) ? 0 : 1);
    }

    /** Does the checks asked for, or all when none is; answers whether all passed. */
    static boolean passAll(Map<String, Check> checks, List<String> asked) {
        boolean passed = true;
        for (Map.Entry<String, Check> each : checks.entrySet())
            if (asked.isEmpty() || asked.contains(each.getKey()))
                passed &= passes(each.getKey(), each.getValue());
        return passed;
    }
}
