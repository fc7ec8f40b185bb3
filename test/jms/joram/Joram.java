import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.jar.JarFile;
import junit.framework.TestCase;
import junit.framework.TestSuite;
import org.objectweb.jtests.jms.framework.JMSTestCase;

/** Every test of the Joram suite against a broker: java Joram [TEST...]; the environment is described in strangers/main.ts. */
public final class Joram {
    private static final int DEADLINE_SECONDS = 60;

    private Joram() {}

    public static void main(String[] asked) throws Exception {
        boolean passed = true;
        for (TestCase test : tests())
            if (asked.length == 0 || List.of(asked).contains(nameOf(test))) passed &= passes(test);
        System.exit(passed ? 0 : 1);
    }

    /** All that the jar has, class by class in the order of their names. */
    private static List<TestCase> tests() throws IOException, ClassNotFoundException {
        List<String> names = new ArrayList<>();
        String file = JMSTestCase.class.getProtectionDomain().getCodeSource().getLocation().getFile();
        try (JarFile jar = new JarFile(file)) {
            jar.stream().map(Object::toString).filter(name -> name.endsWith("Test.class")).forEach(names::add);
        }
        Collections.sort(names);
        List<TestCase> tests = new ArrayList<>();
        for (String name : names) {
            Class<?> type = Class.forName(name.replace(".class", "").replace('/', '.'));
            for (var each : Collections.list(new TestSuite(type.asSubclass(TestCase.class)).tests()))
                tests.add((TestCase) each);
        }
        return tests;
    }

    private static String nameOf(TestCase test) {
        return test.getClass().getSimpleName() + "." + test.getName();
    }

    private static boolean passes(TestCase test) {
        CompletableFuture<Throwable> run = CompletableFuture.supplyAsync(() -> {
            try {
                test.runBare();
                return null;
            } catch (Throwable problem) {
                return problem;
            }
        });
        Object problem;
        try {
            problem = run.get(DEADLINE_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException exception) {
            problem = "nothing within " + DEADLINE_SECONDS + " s";
        } catch (InterruptedException | ExecutionException exception) {
            problem = exception;
        }
        String verdict = problem == null ? "ok " + nameOf(test) : "FAIL " + nameOf(test) + ": " + problem;
        System.out.println(verdict.replace('\n', ' '));
        return problem == null;
    }
}
