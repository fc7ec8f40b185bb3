import jakarta.jms.ExceptionListener;
import jakarta.jms.IllegalStateRuntimeException;
import jakarta.jms.InvalidClientIDRuntimeException;
import jakarta.jms.JMSConsumer;
import jakarta.jms.JMSContext;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageFormatRuntimeException;
import jakarta.jms.Queue;
import jakarta.jms.TextMessage;
import jakarta.jms.TransactionRolledBackRuntimeException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.qpid.jms.JmsConnectionFactory;

/** JMSContext: a connection and a session in one (Jakarta Messaging 3.1, 2.8 and chapter 8). */
final class Contexts {
    static final Map<String, Strangers.Check> CHECKS = new LinkedHashMap<>();

    static {
        CHECKS.put("modes of a context", Contexts::modes);
        CHECKS.put("automatic start", Contexts::automaticStart);
        CHECKS.put("stop and start", Contexts::stopAndStart);
        CHECKS.put("a second context of a connection", Contexts::secondContext);
        CHECKS.put("client id of a context", Contexts::clientId);
        CHECKS.put("closed context", Contexts::closed);
        CHECKS.put("close ends a receive that waits", Contexts::closeEndsReceive);
        CHECKS.put("receiveBody", Contexts::receiveBody);
        CHECKS.put("receiveBody of another type", Contexts::receiveBodyOfAnotherType);
        CHECKS.put("message listener", Contexts::messageListener);
        CHECKS.put("acknowledge", Contexts::acknowledge);
        CHECKS.put("recover", Contexts::recover);
        CHECKS.put("commit", Contexts::commit);
        CHECKS.put("rollback", Contexts::rollback);
        CHECKS.put("close rolls back", Contexts::closeRollsBack);
        CHECKS.put("commit outside a transaction", Contexts::commitOutside);
        CHECKS.put("broker dies inside a transaction", Contexts::brokerDies);
        CHECKS.put("exception listener", Contexts::exceptionListener);
    }

    private Contexts() {}

    private static void modes() throws Exception {
        for (int mode : List.of(
                JMSContext.AUTO_ACKNOWLEDGE,
                JMSContext.CLIENT_ACKNOWLEDGE,
                JMSContext.DUPS_OK_ACKNOWLEDGE,
                JMSContext.SESSION_TRANSACTED)) {
            String name = Broker.fresh("mode" + mode);
            Jms2.with(mode, context -> {
                boolean transacted = mode == JMSContext.SESSION_TRANSACTED;
                Strangers.equal(context.getSessionMode(), mode, "the mode");
                Strangers.equal(context.getTransacted(), transacted, "whether it is transacted");
                Queue queue = context.createQueue(name);
                context.createProducer().send(queue, "one");
                if (transacted) context.commit();
                JMSConsumer consumer = context.createConsumer(queue);
                Strangers.equal(Jms2.next(consumer), "one", "what came in mode " + mode);
                if (mode == JMSContext.CLIENT_ACKNOWLEDGE) context.acknowledge();
                if (transacted) context.commit();
            });
            Jms2.with(context -> {
                JMSConsumer consumer = context.createConsumer(context.createQueue(name));
                Jms2.mustBeEmpty(consumer, "the queue after mode " + mode);
            });
        }
    }

    private static void automaticStart() throws Exception {
        Jms2.with(context -> {
            context.setAutoStart(false);
            Queue queue = context.createQueue(Broker.fresh("start"));
            context.createProducer().send(queue, "waits");
            JMSConsumer consumer = context.createConsumer(queue);
            Strangers.equal(consumer.receive(300), null, "what came before the start");
            context.start();
            Strangers.equal(Jms2.next(consumer), "waits", "what came after it");
        });
    }

    private static void stopAndStart() throws Exception {
        Jms2.with(context -> {
            Queue queue = context.createQueue(Broker.fresh("stop"));
            JMSConsumer consumer = context.createConsumer(queue);
            context.stop();
            context.createProducer().send(queue, "sent while stopped");
            Strangers.equal(consumer.receive(300), null, "what came while stopped");
            context.start();
            Strangers.equal(Jms2.next(consumer), "sent while stopped", "what came after it");
        });
    }

    private static void secondContext() throws Exception {
        Jms2.as(Broker.fresh("two-contexts"), first -> {
            Queue queue = first.createQueue(Broker.fresh("two-contexts"));
            JMSConsumer consumer = first.createConsumer(queue);
            try (JMSContext second = first.createContext(JMSContext.SESSION_TRANSACTED)) {
                Strangers.equal(second.getClientID(), first.getClientID(), "the client id of the second");
                second.createProducer().send(queue, "of the second");
                Strangers.equal(consumer.receive(200), null, "what came before the commit");
                second.commit();
                Strangers.equal(Jms2.next(consumer), "of the second", "what came after it");
            }
            first.createProducer().send(queue, "of the first");
            Strangers.equal(Jms2.next(consumer), "of the first", "what came after the second closed");
        });
    }

    private static void clientId() throws Exception {
        String id = Broker.fresh("context");
        Jms2.as(id, context -> {
            Strangers.equal(context.getClientID(), id, "the client id");
            Jms2.mustFail(
                InvalidClientIDRuntimeException.class, "a client id in use", () -> Jms2.as(id, JMSContext::start));
            context.createProducer().send(context.createQueue(Broker.fresh("id")), "used");
            Jms2.mustFail(
                IllegalStateRuntimeException.class, "to change it after use", () -> context.setClientID("other"));
        });
        Jms2.as(id, JMSContext::start);
    }

    private static void closed() throws Exception {
        JMSContext context = Jms2.context("", JMSContext.AUTO_ACKNOWLEDGE);
        Queue queue = context.createQueue(Broker.fresh("closed"));
        JMSConsumer consumer = context.createConsumer(queue);
        context.createProducer().send(queue, "left");
        Message message = Jms2.nextMessage(consumer);
        context.close();
        context.close();
        Strangers.equal(((TextMessage) message).getText(), "left", "the body of a message of a closed context");
        for (Map.Entry<String, Strangers.Check> each : Map.<String, Strangers.Check>of(
                "createQueue", () -> context.createQueue("any"),
                "createConsumer", () -> context.createConsumer(queue),
                "receive", consumer::receiveNoWait,
                "start", context::start).entrySet())
            Jms2.mustFail(IllegalStateRuntimeException.class, each.getKey() + " when closed", each.getValue());
    }

    private static void closeEndsReceive() throws Exception {
        Jms2.with(context -> {
            JMSConsumer consumer = context.createConsumer(context.createQueue(Broker.fresh("waits")));
            CountDownLatch waits = new CountDownLatch(1);
            CompletableFuture<Message> received = CompletableFuture.supplyAsync(() -> {
                waits.countDown();
                return consumer.receive();
            });
            waits.await();
            Thread.sleep(100);
            context.close();
            Strangers.equal(received.get(10, TimeUnit.SECONDS), null, "what the receive ended with");
        });
    }

    private static void receiveBody() throws Exception {
        Jms2.with(context -> {
            Queue queue = context.createQueue(Broker.fresh("body"));
            Map<String, Object> map = Map.of("number", 42, "text", "of a map");
            byte[] bytes = {0, 1, -1};
            ArrayList<String> object = new ArrayList<>(List.of("an", "object"));
            context.createProducer().send(queue, "text").send(queue, map).send(queue, bytes).send(queue, object);
            JMSConsumer consumer = context.createConsumer(queue);
            Strangers.equal(consumer.receiveBody(String.class, Broker.PATIENCE), "text", "the text");
            Strangers.equal(consumer.receiveBody(Map.class, Broker.PATIENCE), map, "the map");
            byte[] got = consumer.receiveBody(byte[].class, Broker.PATIENCE);
            Strangers.check(java.util.Arrays.equals(got, bytes), "the bytes came as others");
            Strangers.equal(consumer.receiveBody(List.class, Broker.PATIENCE), object, "the object");
            Strangers.equal(consumer.receiveBodyNoWait(String.class), null, "what is there when nothing is");
        });
    }

    /** 8.6: the message is there as if the call had not been made. */
    private static void receiveBodyOfAnotherType() throws Exception {
        Jms2.with(context -> {
            Queue queue = context.createQueue(Broker.fresh("mismatch"));
            context.createProducer().send(queue, "text");
            JMSConsumer consumer = context.createConsumer(queue);
            Jms2.mustFail(
                MessageFormatRuntimeException.class,
                "a map out of a text",
                () -> consumer.receiveBody(Map.class, Broker.PATIENCE));
            Message message = Jms2.nextMessage(consumer);
            Strangers.equal(message.getBody(String.class), "text", "the body");
            Strangers.equal(Jms2.count(message), 1, "the delivery count");
            Strangers.equal(message.getJMSRedelivered(), false, "whether it was delivered before");
        });
    }

    private static void messageListener() throws Exception {
        Jms2.with(context -> {
            Queue queue = context.createQueue(Broker.fresh("listener"));
            List<String> heard = Collections.synchronizedList(new ArrayList<>());
            CountDownLatch all = new CountDownLatch(4);
            JMSConsumer consumer = context.createConsumer(queue);
            consumer.setMessageListener(message -> {
                try {
                    heard.add(message.getBody(String.class));
                } catch (JMSException exception) {
                    heard.add(exception.toString());
                }
                all.countDown();
                // 8.7: redelivered, as the session acknowledges by itself. The client releases it, which counts nothing.
                if (heard.size() == 2) throw new IllegalStateException("the listener fails once");
            });
            try (JMSContext sender = context.createContext(JMSContext.AUTO_ACKNOWLEDGE)) {
                sender.createProducer().send(queue, "a").send(queue, "b").send(queue, "c");
            }
            Strangers.check(all.await(20, TimeUnit.SECONDS), "only " + heard + " came");
            Collections.sort(heard);
            Strangers.equal(heard, List.of("a", "b", "b", "c"), "what was heard");
        });
    }

    /** 6.2.10: everything that the session has been given so far. */
    private static void acknowledge() throws Exception {
        String name = Broker.fresh("acknowledge");
        Jms2.with(JMSContext.CLIENT_ACKNOWLEDGE, context -> {
            Queue queue = context.createQueue(name);
            context.createProducer().send(queue, "one").send(queue, "two").send(queue, "three");
            JMSConsumer consumer = context.createConsumer(queue);
            Jms2.take(consumer, 2);
            context.acknowledge();
            Strangers.equal(Jms2.next(consumer), "three", "the third");
        });
        Jms2.with(context -> {
            JMSConsumer consumer = context.createConsumer(context.createQueue(name));
            Message third = Jms2.nextMessage(consumer);
            Strangers.equal(third.getBody(String.class), "three", "what was not acknowledged");
            Jms2.mustBeEmpty(consumer, "the queue");
        });
    }

    private static void recover() throws Exception {
        Jms2.with(JMSContext.CLIENT_ACKNOWLEDGE, context -> {
            Queue queue = context.createQueue(Broker.fresh("recover"));
            context.createProducer().send(queue, "one").send(queue, "two").send(queue, "three");
            JMSConsumer consumer = context.createConsumer(queue);
            Strangers.equal(Jms2.next(consumer), "one", "the first");
            context.acknowledge();
            for (String body : List.of("two", "three")) {
                Message message = Jms2.nextMessage(consumer);
                Strangers.equal(Jms2.count(message), 1, "the delivery count of " + body);
                Strangers.equal(message.getJMSRedelivered(), false, "whether " + body + " was delivered before");
            }
            context.recover();
            for (String body : List.of("two", "three")) {
                Message message = Jms2.nextMessage(consumer);
                Strangers.equal(message.getBody(String.class), body, "what came after recover");
                Strangers.equal(Jms2.count(message), 2, "the delivery count of " + body + " after it");
                Strangers.equal(message.getJMSRedelivered(), true, "whether " + body + " was delivered before");
            }
            context.acknowledge();
            Jms2.mustBeEmpty(consumer, "the queue");
        });
    }

    /** 6.2.7: what was received and what was sent become so together. */
    private static void commit() throws Exception {
        Jms2.with(JMSContext.SESSION_TRANSACTED, context -> {
            Queue in = context.createQueue(Broker.fresh("in"));
            Queue out = context.createQueue(Broker.fresh("out"));
            Jms2.with(other -> {
                other.createProducer().send(in, "1").send(in, "2");
                JMSConsumer outside = other.createConsumer(out);
                JMSConsumer consumer = context.createConsumer(in);
                for (String body : Jms2.take(consumer, 2)) context.createProducer().send(out, body + " done");
                Strangers.equal(outside.receive(200), null, "what came before the commit");
                context.commit();
                Strangers.equal(Jms2.take(outside, 2), List.of("1 done", "2 done"), "what came after it");
                Jms2.mustBeEmpty(consumer, "the queue of requests");
            });
        });
    }

    private static void rollback() throws Exception {
        Jms2.with(JMSContext.SESSION_TRANSACTED, context -> {
            Queue in = context.createQueue(Broker.fresh("in"));
            Queue out = context.createQueue(Broker.fresh("out"));
            context.createProducer().send(in, "1").send(in, "2");
            context.commit();
            JMSConsumer consumer = context.createConsumer(in);
            for (String body : Jms2.take(consumer, 2)) context.createProducer().send(out, body + " undone");
            context.rollback();
            for (String body : List.of("1", "2")) {
                Message message = Jms2.nextMessage(consumer);
                Strangers.equal(message.getBody(String.class), body, "what came again");
                Strangers.equal(Jms2.count(message), 2, "its delivery count");
                Strangers.equal(message.getJMSRedelivered(), true, "whether it was delivered before");
                context.createProducer().send(out, body + " done");
            }
            context.commit();
            JMSConsumer results = context.createConsumer(out);
            Strangers.equal(Jms2.take(results, 2), List.of("1 done", "2 done"), "what was sent");
            context.commit();
        });
    }

    private static void closeRollsBack() throws Exception {
        String name = Broker.fresh("unfinished");
        Jms2.with(context -> context.createProducer().send(context.createQueue(name), "kept"));
        Jms2.with(JMSContext.SESSION_TRANSACTED, context -> {
            Strangers.equal(Jms2.next(context.createConsumer(context.createQueue(name))), "kept", "what came");
            context.createProducer().send(context.createQueue(name), "never committed");
        });
        Jms2.with(context -> {
            JMSConsumer consumer = context.createConsumer(context.createQueue(name));
            Strangers.equal(Jms2.next(consumer), "kept", "what came again");
            Jms2.mustBeEmpty(consumer, "the queue");
        });
    }

    private static void commitOutside() throws Exception {
        Jms2.with(context -> {
            Jms2.mustFail(IllegalStateRuntimeException.class, "commit", context::commit);
            Jms2.mustFail(IllegalStateRuntimeException.class, "rollback", context::rollback);
        });
        Jms2.with(JMSContext.SESSION_TRANSACTED, context ->
            Jms2.mustFail(IllegalStateRuntimeException.class, "recover in a transaction", context::recover));
    }

    /** The client connects again by itself; what it had done in the transaction has not happened. */
    private static void brokerDies() throws Exception {
        String uri = "failover:(" + Broker.uri("") + ")?failover.initialReconnectDelay=20&failover.maxReconnectDelay=200";
        try (JMSContext context = new JmsConnectionFactory(Broker.USER, Broker.PASSWORD, uri)
                .createContext(JMSContext.SESSION_TRANSACTED)) {
            Queue in = context.createQueue(Broker.fresh("in"));
            Queue out = context.createQueue(Broker.fresh("out"));
            context.createProducer().send(in, "1");
            context.commit();
            JMSConsumer consumer = context.createConsumer(in);
            Strangers.equal(Jms2.next(consumer), "1", "what came");
            context.createProducer().send(out, "undone");
            Strangers.askForRestart();
            Strangers.waitForRestart();
            Jms2.mustFail(TransactionRolledBackRuntimeException.class, "the commit", context::commit);
            Strangers.equal(Jms2.next(consumer), "1", "what came again");
            context.createProducer().send(out, "done");
            context.commit();
            JMSConsumer results = context.createConsumer(out);
            Strangers.equal(Jms2.next(results), "done", "what was sent");
            Jms2.mustBeEmpty(results, "the queue of results");
            Jms2.mustBeEmpty(consumer, "the queue of requests");
            context.commit();
        }
    }

    /** 6.1.7: the loss of the connection is told when nobody else would hear of it. */
    private static void exceptionListener() throws Exception {
        JMSContext context = Jms2.context("", JMSContext.AUTO_ACKNOWLEDGE);
        CompletableFuture<JMSException> told = new CompletableFuture<>();
        ExceptionListener listener = told::complete;
        context.setExceptionListener(listener);
        context.createConsumer(context.createQueue(Broker.fresh("doomed")));
        Strangers.askForRestart();
        Strangers.waitForRestart();
        Strangers.check(told.get(20, TimeUnit.SECONDS) != null, "nothing was told");
        context.close();
        Jms2.with(again -> again.createProducer().send(again.createQueue(Broker.fresh("after")), "goes on"));
    }
}
