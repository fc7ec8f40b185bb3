import jakarta.jms.InvalidDestinationException;
import jakarta.jms.InvalidDestinationRuntimeException;
import jakarta.jms.JMSConsumer;
import jakarta.jms.JMSContext;
import jakarta.jms.JMSRuntimeException;
import jakarta.jms.Queue;
import jakarta.jms.TemporaryQueue;
import jakarta.jms.Topic;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The four kinds of subscriptions (Jakarta Messaging 3.1, 4.2 and 8.3), and destinations that are somebody else's or none. */
final class Subscriptions {
    static final Map<String, Strangers.Check> CHECKS = new LinkedHashMap<>();

    private static final List<String> LETTERS = List.of("a", "b", "c", "d", "e", "f", "g", "h", "i", "j");

    static {
        CHECKS.put("shared, several connections", () -> competing(false, false));
        CHECKS.put("shared durable, several connections", () -> competing(true, false));
        CHECKS.put("shared, one client id", () -> competing(false, true));
        CHECKS.put("shared durable, one client id", () -> competing(true, true));
        CHECKS.put("a shared subscription ends with its last consumer", Subscriptions::sharedEnds);
        CHECKS.put("a shared durable subscription stays", Subscriptions::sharedDurableStays);
        CHECKS.put("client ids keep subscriptions apart", Subscriptions::clientIds);
        CHECKS.put("shared with another topic", Subscriptions::sharedElsewhere);
        CHECKS.put("shared with another selector", Subscriptions::sharedOtherSelector);
        CHECKS.put("shared and unshared durable", Subscriptions::bothKinds);
        CHECKS.put("a durable subscription in use", Subscriptions::durableInUse);
        CHECKS.put("durable with another selector", Subscriptions::durableOtherSelector);
        CHECKS.put("unsubscribe", Subscriptions::unsubscribe);
        CHECKS.put("no local", Subscriptions::noLocal);
        CHECKS.put("no local, durable", Subscriptions::noLocalDurable);
        CHECKS.put("temporary queue of another connection", Subscriptions::temporaryOfAnother);
        CHECKS.put("invalid destinations", Subscriptions::invalidDestinations);
    }

    private Subscriptions() {}

    private static JMSConsumer share(JMSContext context, Topic topic, String name, boolean durable) {
        return durable ? context.createSharedDurableConsumer(topic, name) : context.createSharedConsumer(topic, name);
    }

    /** Every message goes to one of the consumers, whose connections have no client id or are one with it. */
    private static void competing(boolean durable, boolean identified) throws Exception {
        String name = Broker.fresh("shared" + durable + identified);
        String options = "jms.prefetchPolicy.all=5" + (identified ? "&jms.clientID=" + name : "");
        try (JMSContext first = Jms2.context(options, JMSContext.AUTO_ACKNOWLEDGE);
                JMSContext second = identified
                    ? first.createContext(JMSContext.AUTO_ACKNOWLEDGE)
                    : Jms2.context(options, JMSContext.AUTO_ACKNOWLEDGE)) {
            Topic topic = first.createTopic(name);
            JMSConsumer one = share(first, topic, name, durable);
            JMSConsumer two = share(second, topic, name, durable);
            for (String letter : LETTERS) first.createProducer().send(topic, letter);
            List<String> both = new ArrayList<>(Jms2.take(one, 5));
            both.addAll(Jms2.take(two, 5));
            Collections.sort(both);
            Strangers.equal(both, LETTERS, "what both got");
            one.close();
            two.close();
            if (durable) first.unsubscribe(name);
        }
    }

    private static void sharedEnds() throws Exception {
        String name = Broker.fresh("shared-ends");
        Jms2.with(context -> {
            Topic topic = context.createTopic(name);
            JMSConsumer one = context.createSharedConsumer(topic, name);
            JMSConsumer two = context.createSharedConsumer(topic, name);
            one.close();
            context.createProducer().send(topic, "for the second");
            Strangers.equal(Jms2.next(two), "for the second", "what came when the first had left");
            two.close();
            context.createProducer().send(topic, "for nobody");
            Jms2.mustBeEmpty(context.createSharedConsumer(topic, name), "the subscription made anew");
        });
    }

    private static void sharedDurableStays() throws Exception {
        String name = Broker.fresh("shared-stays");
        Jms2.with(context -> context.createSharedDurableConsumer(context.createTopic(name), name));
        Jms2.with(context -> context.createProducer().send(context.createTopic(name), "meanwhile"));
        Jms2.with(context -> {
            JMSConsumer consumer = context.createSharedDurableConsumer(context.createTopic(name), name);
            Strangers.equal(Jms2.next(consumer), "meanwhile", "what came in the meantime");
            consumer.close();
            context.unsubscribe(name);
        });
    }

    /** The same name belongs to somebody else under another client id, and without one. */
    private static void clientIds() throws Exception {
        String name = Broker.fresh("names");
        Jms2.with(context -> {
            Topic topic = context.createTopic(name);
            JMSConsumer nobodys = context.createSharedDurableConsumer(topic, name);
            Jms2.as(name + ".1", first -> {
                JMSConsumer firsts = first.createSharedDurableConsumer(topic, name);
                Jms2.as(name + ".2", second -> {
                    JMSConsumer seconds = second.createSharedDurableConsumer(topic, name);
                    context.createProducer().send(topic, "to each");
                    for (JMSConsumer consumer : List.of(nobodys, firsts, seconds))
                        Strangers.equal(Jms2.take(consumer, 1), List.of("to each"), "what a subscription got");
                    seconds.close();
                    second.unsubscribe(name);
                });
                firsts.close();
                first.unsubscribe(name);
            });
            nobodys.close();
            context.unsubscribe(name);
        });
    }

    /** 8.3.2, 8.3.4: refused while it has consumers; afterwards a durable one is replaced. */
    private static void sharedElsewhere() throws Exception {
        for (boolean durable : List.of(false, true)) {
            String name = Broker.fresh("elsewhere" + durable);
            try (JMSContext first = Jms2.context("", JMSContext.AUTO_ACKNOWLEDGE);
                    JMSContext second = Jms2.context("", JMSContext.AUTO_ACKNOWLEDGE)) {
                Topic topic = first.createTopic(name);
                Topic other = first.createTopic(name + ".other");
                JMSConsumer consumer = share(first, topic, name, durable);
                Jms2.mustFail(JMSRuntimeException.class, "another topic", () -> share(second, other, name, durable));
                first.createProducer().send(topic, "still here");
                Strangers.equal(Jms2.next(consumer), "still here", "what came afterwards");
                first.createProducer().send(topic, "lost with the subscription");
                consumer.close();
                JMSConsumer replacement = share(second, other, name, durable);
                first.createProducer().send(topic, "nobody listens").send(other, "heard");
                Strangers.equal(Jms2.next(replacement), "heard", "what the replacement got");
                replacement.close();
                if (durable) second.unsubscribe(name);
            }
        }
    }

    private static void sharedOtherSelector() throws Exception {
        String name = Broker.fresh("selector");
        try (JMSContext first = Jms2.context("", JMSContext.AUTO_ACKNOWLEDGE);
                JMSContext second = Jms2.context("", JMSContext.AUTO_ACKNOWLEDGE)) {
            Topic topic = first.createTopic(name);
            JMSConsumer one = first.createSharedDurableConsumer(topic, name, "size > 5");
            JMSConsumer two = second.createSharedDurableConsumer(topic, name, "size > 5");
            Jms2.mustFail(
                JMSRuntimeException.class,
                "another selector",
                () -> second.createSharedDurableConsumer(topic, name, "size > 6"));
            two.close();
            first.createProducer().setProperty("size", 3).send(topic, "small");
            first.createProducer().setProperty("size", 8).send(topic, "large");
            Strangers.equal(Jms2.next(one), "large", "what was selected");
            Jms2.mustBeEmpty(one, "the subscription");
            one.close();
            first.unsubscribe(name);
        }
    }

    /** 8.3.4: a durable subscription is of one kind. */
    private static void bothKinds() throws Exception {
        String name = Broker.fresh("kinds");
        Jms2.as(name, context -> {
            Topic topic = context.createTopic(name);
            context.createDurableConsumer(topic, "sub").close();
            Jms2.mustFail(
                JMSRuntimeException.class,
                "a shared one of the same name",
                () -> context.createSharedDurableConsumer(topic, "sub"));
            context.unsubscribe("sub");
            context.createSharedDurableConsumer(topic, "sub").close();
            Jms2.mustFail(
                JMSRuntimeException.class,
                "an unshared one of the same name",
                () -> context.createDurableConsumer(topic, "sub"));
            context.unsubscribe("sub");
        });
    }

    private static void durableInUse() throws Exception {
        Jms2.as(Broker.fresh("in-use"), context -> {
            Topic topic = context.createTopic(Broker.fresh("in-use"));
            JMSConsumer consumer = context.createDurableConsumer(topic, "sub");
            Jms2.mustFail(
                JMSRuntimeException.class, "a second consumer", () -> context.createDurableConsumer(topic, "sub"));
            Jms2.mustFail(JMSRuntimeException.class, "unsubscribe", () -> context.unsubscribe("sub"));
            context.createProducer().send(topic, "still here");
            Strangers.equal(Jms2.next(consumer), "still here", "what came to the first");
            consumer.close();
            context.unsubscribe("sub");
        });
    }

    /** 8.3.3: as if it had been unsubscribed and made anew. */
    private static void durableOtherSelector() throws Exception {
        Jms2.as(Broker.fresh("reselect"), context -> {
            Topic topic = context.createTopic(Broker.fresh("reselect"));
            context.createDurableConsumer(topic, "sub", "size > 5", false).close();
            context.createProducer().setProperty("size", 8).send(topic, "lost with the subscription");
            JMSConsumer again = context.createDurableConsumer(topic, "sub", "size < 5", false);
            context.createProducer().setProperty("size", 9).send(topic, "large");
            context.createProducer().setProperty("size", 1).send(topic, "small");
            Strangers.equal(Jms2.next(again), "small", "what came under the new selector");
            Jms2.mustBeEmpty(again, "the subscription");
            again.close();
            context.createProducer().setProperty("size", 2).send(topic, "meanwhile");
            JMSConsumer same = context.createDurableConsumer(topic, "sub", "size < 5", false);
            Strangers.equal(Jms2.next(same), "meanwhile", "what was kept for the same selector");
            same.close();
            context.unsubscribe("sub");
        });
    }

    private static void unsubscribe() throws Exception {
        Jms2.as(Broker.fresh("leaver"), context -> {
            Topic topic = context.createTopic(Broker.fresh("left"));
            Jms2.mustFail(
                InvalidDestinationRuntimeException.class, "to end what never was", () -> context.unsubscribe("sub"));
            context.createDurableConsumer(topic, "sub").close();
            context.unsubscribe("sub");
            context.createProducer().send(topic, "for nobody");
            JMSConsumer anew = context.createDurableConsumer(topic, "sub");
            Jms2.mustBeEmpty(anew, "the subscription made anew");
            anew.close();
            context.unsubscribe("sub");
        });
    }

    private static void noLocal() throws Exception {
        Jms2.with(context -> Jms2.with(other -> {
            Topic topic = context.createTopic(Broker.fresh("local"));
            JMSConsumer consumer = context.createConsumer(topic, null, true);
            JMSConsumer selecting = context.createConsumer(topic, "size > 5", true);
            for (JMSContext sender : List.of(context, other))
                sender.createProducer().setProperty("size", 8).send(topic, sender == other ? "other's" : "own");
            other.createProducer().setProperty("size", 1).send(topic, "small");
            Strangers.equal(Jms2.take(consumer, 2), List.of("other's", "small"), "what came");
            Strangers.equal(Jms2.next(selecting), "other's", "what was selected");
            for (JMSConsumer each : List.of(consumer, selecting)) Jms2.mustBeEmpty(each, "the subscription");
        }));
    }

    /** 8.3.3: what connections of the same client id publish, also while nobody consumes. */
    private static void noLocalDurable() throws Exception {
        String id = Broker.fresh("local");
        Jms2.as(id, context -> {
            Topic topic = context.createTopic(id);
            context.createDurableConsumer(topic, "sub", null, true).close();
            context.createProducer().send(topic, "own");
        });
        Jms2.with(other -> other.createProducer().send(other.createTopic(id), "other's"));
        Jms2.as(id, context -> {
            Topic topic = context.createTopic(id);
            JMSConsumer consumer = context.createDurableConsumer(topic, "sub", null, true);
            context.createProducer().send(topic, "own again");
            Strangers.equal(Jms2.next(consumer), "other's", "what came");
            Jms2.mustBeEmpty(consumer, "the subscription");
            consumer.close();
            context.unsubscribe("sub");
        });
    }

    /** 6.2.2: only consumers of the connection that made it. */
    private static void temporaryOfAnother() throws Exception {
        Jms2.with(context -> Jms2.with(other -> {
            TemporaryQueue queue = context.createTemporaryQueue();
            Queue requests = context.createQueue(Broker.fresh("requests"));
            context.createProducer().setJMSReplyTo(queue).send(requests, "where to answer");
            Queue seen = (Queue) Jms2.nextMessage(other.createConsumer(requests)).getJMSReplyTo();
            Jms2.mustFail(JMSRuntimeException.class, "a consumer of another", () -> other.createConsumer(seen));
            other.createProducer().send(seen, "the answer");
            Strangers.equal(Jms2.next(context.createConsumer(queue)), "the answer", "what came");
        }));
    }

    /** 10.3: a name that the broker cannot use. */
    private static void invalidDestinations() throws Exception {
        Jms2.with(context -> {
            Queue unusable = context.createQueue("x".repeat(2_000));
            Strangers.Check consume = () -> context.createConsumer(unusable);
            Strangers.Check send = () -> context.createProducer().send(unusable, "to nowhere");
            for (Map.Entry<String, Strangers.Check> each : Map.of("a consumer", consume, "a send", send).entrySet())
                Jms2.mustFail(InvalidDestinationRuntimeException.class, each.getKey(), each.getValue());
            Strangers.mustThrow(
                InvalidDestinationException.class, "a browser", () -> Jms2.browse(context, unusable, null));
            TemporaryQueue gone = context.createTemporaryQueue();
            gone.delete();
            Jms2.mustFail(JMSRuntimeException.class, "a consumer of what is gone", () -> context.createConsumer(gone));
        });
    }
}
