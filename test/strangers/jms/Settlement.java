import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Every way to settle, at both ends. */
final class Settlement {
    static final Map<String, Strangers.Check> CHECKS = new LinkedHashMap<>();

    /** Property of Qpid JMS that says what acknowledge() does. */
    private static final String ACK_TYPE = "JMS_AMQP_ACK_TYPE";
    private static final int REJECTED = 2;
    private static final int RELEASED = 3;
    private static final int MODIFIED_FAILED = 4;
    private static final int MODIFIED_FAILED_UNDELIVERABLE = 5;

    static {
        CHECKS.put("send and receive", Settlement::sendAndReceive);
        CHECKS.put("accepted", Settlement::accepted);
        CHECKS.put("released", Settlement::released);
        CHECKS.put("rejected", Settlement::rejected);
        CHECKS.put("modified, delivery failed", Settlement::modifiedFailed);
        CHECKS.put("modified, undeliverable here", Settlement::modifiedElsewhere);
        CHECKS.put("left unsettled", Settlement::leftUnsettled);
        CHECKS.put("recover", Settlement::recover);
        CHECKS.put("send pre-settled", Settlement::sendPresettled);
        CHECKS.put("receive pre-settled", Settlement::receivePresettled);
        CHECKS.put("drain", Settlement::drain);
    }

    private Settlement() {}

    private static void sendAndReceive() throws Exception {
        Broker.with((connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("roundtrip"));
            Message sent = session.createTextMessage("grüße");
            sent.setJMSCorrelationID("c-1");
            sent.setJMSType("greeting");
            sent.setJMSReplyTo(session.createTopic("answers"));
            sent.setIntProperty("number", 42);
            try (MessageProducer producer = session.createProducer(queue)) {
                producer.setPriority(7);
                producer.send(sent);
            }
            try (MessageConsumer consumer = session.createConsumer(queue)) {
                Message got = Broker.next(consumer);
                Strangers.equal(Broker.text(got), "grüße", "the body");
                Strangers.equal(got.getJMSMessageID(), sent.getJMSMessageID(), "the message id");
                Strangers.equal(got.getJMSCorrelationID(), "c-1", "the correlation id");
                Strangers.equal(got.getJMSType(), "greeting", "the type");
                Strangers.equal(got.getJMSReplyTo(), sent.getJMSReplyTo(), "the destination of replies");
                Strangers.equal(got.getJMSDestination(), queue, "the destination");
                Strangers.equal(got.getIntProperty("number"), 42, "the property");
                Strangers.equal(got.getJMSPriority(), 7, "the priority");
                Strangers.equal(got.getIntProperty("JMSXDeliveryCount"), 1, "the delivery count");
                Strangers.equal(got.getJMSRedelivered(), false, "whether it was delivered before");
            }
        });
    }

    private static void accepted() throws Exception {
        Broker.with("", Session.CLIENT_ACKNOWLEDGE, (connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("accepted"));
            Broker.send(session, queue, "one", "two");
            try (MessageConsumer consumer = session.createConsumer(queue)) {
                Broker.next(consumer);
                Broker.next(consumer).acknowledge();
            }
            Broker.mustBeEmpty(session, queue);
        });
    }

    private interface Redelivery {
        void check(Session session, Queue queue, MessageConsumer consumer) throws Exception;
    }

    /** Takes a message, settles it in that way, and looks what becomes of it. */
    private static void settle(String name, int type, Redelivery redelivery) throws Exception {
        Broker.with("", Broker.INDIVIDUAL_ACKNOWLEDGE, (connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh(name));
            Broker.send(session, queue, name);
            try (MessageConsumer consumer = session.createConsumer(queue)) {
                Message message = Broker.next(consumer);
                message.setIntProperty(ACK_TYPE, type);
                message.acknowledge();
                redelivery.check(session, queue, consumer);
            }
        });
    }

    private static void released() throws Exception {
        settle("released", RELEASED, (session, queue, consumer) -> {
            Message again = Broker.next(consumer);
            Strangers.equal(again.getIntProperty("JMSXDeliveryCount"), 1, "the delivery count");
            again.acknowledge();
        });
    }

    private static void rejected() throws Exception {
        settle("rejected", REJECTED, (session, queue, consumer) -> {
            Queue deadLetters = session.createQueue(queue.getQueueName() + ".dlq");
            Strangers.equal(Broker.take(session, deadLetters, 1), List.of("rejected"), "the dead letters");
            Broker.mustBeEmpty(consumer, "the queue");
        });
    }

    private static void modifiedFailed() throws Exception {
        settle("failed", MODIFIED_FAILED, (session, queue, consumer) -> {
            Message again = Broker.next(consumer);
            Strangers.equal(again.getIntProperty("JMSXDeliveryCount"), 2, "the delivery count");
            Strangers.equal(again.getJMSRedelivered(), true, "whether it was delivered before");
            again.acknowledge();
        });
    }

    private static void modifiedElsewhere() throws Exception {
        settle("elsewhere", MODIFIED_FAILED_UNDELIVERABLE, (session, queue, consumer) -> {
            // It failed as well, so that it comes to anybody only after the queue's delay of a second.
            Strangers.equal(consumer.receive(2_000), null, "what the first consumer got again");
            try (MessageConsumer other = session.createConsumer(queue)) {
                Strangers.equal(Broker.take(other, 1), List.of("elsewhere"), "what another consumer got");
            }
        });
    }

    private static void leftUnsettled() throws Exception {
        Broker.with((connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("unsettled"));
            Broker.send(session, queue, "back");
            Broker.with("", Session.CLIENT_ACKNOWLEDGE, (other, its) -> Broker.next(its.createConsumer(queue)));
            Strangers.equal(Broker.take(session, queue, 1), List.of("back"), "what came back");
        });
    }

    private static void recover() throws Exception {
        Broker.with("", Session.CLIENT_ACKNOWLEDGE, (connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("recover"));
            Broker.send(session, queue, "one", "two");
            try (MessageConsumer consumer = session.createConsumer(queue)) {
                Broker.take(consumer, 2);
                session.recover();
                Message first = Broker.next(consumer);
                Strangers.equal(Broker.text(first), "one", "the first after recover");
                Strangers.equal(first.getJMSRedelivered(), true, "whether it was delivered before");
                Broker.next(consumer).acknowledge();
            }
            Broker.mustBeEmpty(session, queue);
        });
    }

    private static void sendPresettled() throws Exception {
        Broker.with("jms.presettlePolicy.presettleProducers=true", Session.AUTO_ACKNOWLEDGE, (connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("presettled-in"));
            Broker.send(session, queue, "forgotten");
            Strangers.equal(Broker.take(session, queue, 1), List.of("forgotten"), "what came");
        });
    }

    private static void receivePresettled() throws Exception {
        String options = "jms.presettlePolicy.presettleConsumers=true&jms.prefetchPolicy.all=0";
        Broker.with(options, Session.CLIENT_ACKNOWLEDGE, (connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("presettled-out"));
            Broker.send(session, queue, "at most once");
            Strangers.equal(Broker.take(session, queue, 1), List.of("at most once"), "what came");
            Broker.mustBeEmpty(session, queue);
        });
    }

    /** Without prefetching, a consumer asks for a message and takes the credit back when none is there. */
    private static void drain() throws Exception {
        Broker.with("jms.prefetchPolicy.all=0", Session.AUTO_ACKNOWLEDGE, (connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("drain"));
            try (MessageConsumer consumer = session.createConsumer(queue)) {
                for (String text : List.of("one", "two")) {
                    Strangers.equal(consumer.receiveNoWait(), null, "what is in an empty queue");
                    Broker.send(session, queue, text);
                    Strangers.equal(Broker.text(consumer.receiveNoWait()), text, "what is there at once");
                }
            }
        });
    }
}
