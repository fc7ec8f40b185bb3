package main

import (
	"sort"

	"github.com/Azure/go-amqp"
)

var destinations = []check{
	{"browse", skip("go-amqp has no distribution mode")},
	{"topic", topic},
	{"durable subscription", durableSubscription},
	{"shared subscription", sharedSubscription},
	{"selector on a queue", selectorOnAQueue},
	{"selector on a topic", selectorOnATopic},
	{"invalid selector", invalidSelector},
	{"request and reply", requestAndReply},
	{"anonymous producer", anonymousProducer},
}

var toTopic = &amqp.SenderOptions{TargetCapabilities: []string{"topic"}}

func publish(c *client, name string, bodies ...int64) {
	sender := c.sender(name, toTopic)
	for _, body := range bodies {
		send(sender, value(body))
	}
}

func topic() {
	connected(dialOptions{}, func(c *client) {
		name := fresh("topic")
		publish(c, name, 0)
		var receivers []*inbox
		for i := 0; i < 2; i++ {
			receivers = append(receivers, c.receiver(name, &amqp.ReceiverOptions{SourceCapabilities: []string{"topic"}}))
		}
		publish(c, name, 1, 2, 3)
		for _, receiver := range receivers {
			equal(receiver.accept(3), []any{int64(1), int64(2), int64(3)}, "what a subscriber got")
		}
	})
}

func selecting(text string, capabilities ...string) *amqp.ReceiverOptions {
	return &amqp.ReceiverOptions{
		Filters:            []amqp.LinkFilter{amqp.NewSelectorFilter(text)},
		SourceCapabilities: capabilities,
	}
}

func sized(sender *amqp.Sender, sizes ...int64) {
	for _, size := range sizes {
		message := value(size)
		message.ApplicationProperties = map[string]any{"size": size}
		send(sender, message)
	}
}

func selectorOnAQueue() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("select")
		large := c.receiver(queue, selecting("size > 10"))
		sized(c.sender(queue, nil), 1, 20, 2, 30)
		equal(large.accept(2), []any{int64(20), int64(30)}, "what was selected")
		large.mustBeEmpty("the queue for the selector")
		equal(c.receiver(queue, nil).accept(2), []any{int64(1), int64(2)}, "what was left")
	})
}

func selectorOnATopic() {
	connected(dialOptions{}, func(c *client) {
		name := fresh("select")
		large := c.receiver(name, selecting("size > 10", "topic"))
		every := c.receiver(name, &amqp.ReceiverOptions{SourceCapabilities: []string{"topic"}})
		sized(c.sender(name, toTopic), 1, 20, 30)
		equal(large.accept(2), []any{int64(20), int64(30)}, "what was selected")
		large.mustBeEmpty("the subscription")
		equal(every.accept(3), []any{int64(1), int64(20), int64(30)}, "what the other got")
	})
}

func invalidSelector() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("invalid")
		for _, wrong := range []string{"size >", "name = 'open", "a b", "NOT"} {
			_, err := c.tryReceiver(queue, selecting(wrong))
			mustRefuse(err, amqp.ErrCondInvalidField)
		}
		c.send(queue, "unharmed")
		equal(c.receiver(queue, nil).accept(1), []any{"unharmed"}, "what came afterwards")
	})
}

func durable(name string, credit int32, capabilities ...string) *amqp.ReceiverOptions {
	return &amqp.ReceiverOptions{
		Credit:             credit,
		Name:               name,
		SourceCapabilities: append([]string{"topic"}, capabilities...),
		SourceDurability:   amqp.DurabilityUnsettledState,
		SourceExpiryPolicy: amqp.ExpiryPolicyNever,
	}
}

// go-amqp closes a link or drops the connection: it can end a subscription or keep it, but not detach.
func durableSubscription() {
	name, subscriber := fresh("durable"), dialOptions{container: fresh("subscriber")}
	connected(subscriber, func(c *client) {
		receiver := c.receiver(name, durable("sub", 0))
		publish(c, name, 1)
		equal(receiver.accept(1), []any{int64(1)}, "the first")
	})
	connected(dialOptions{}, func(c *client) { publish(c, name, 2) })
	connected(subscriber, func(c *client) {
		receiver := c.receiver(name, durable("sub", 0))
		equal(receiver.accept(1), []any{int64(2)}, "what came in the meantime")
		receiver.close()
		publish(c, name, 3)
		anew := c.receiver(name, durable("sub", 0))
		anew.mustBeEmpty("the subscription made anew")
		anew.close()
	})
}

func sharedSubscription() {
	name, subscription := fresh("shared"), fresh("shared")+"|global"
	connected(dialOptions{}, func(one *client) {
		connected(dialOptions{}, func(other *client) {
			// The windows fill before anything is accepted, so both get their share.
			receivers := []*inbox{
				one.receiver(name, durable(subscription, 5, "shared", "global")),
				other.receiver(name, durable(subscription, 5, "shared", "global")),
			}
			publish(one, name, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
			var numbers []int
			for _, receiver := range receivers {
				var held []*amqp.Message
				for len(held) < 5 {
					held = append(held, receiver.next())
				}
				for _, message := range held {
					receiver.acceptMessage(message)
					numbers = append(numbers, int(message.Value.(int64)))
				}
			}
			sort.Ints(numbers)
			equal(numbers, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "what both got")
		})
	})
	connected(dialOptions{}, func(c *client) {
		c.receiver(name, durable(subscription, 0, "shared", "global")).close()
		publish(c, name, 10)
		anew := c.receiver(name, durable(subscription, 0, "shared", "global"))
		anew.mustBeEmpty("the subscription made anew")
		anew.close()
	})
}

func requestAndReply() {
	connected(dialOptions{}, func(c *client) {
		connected(dialOptions{}, func(service *client) {
			queue := fresh("requests")
			replies := c.receiver("", &amqp.ReceiverOptions{DynamicAddress: true})
			address := replies.Address()
			send(c.sender(queue, nil), &amqp.Message{
				Properties: &amqp.MessageProperties{MessageID: "q-1", ReplyTo: &address},
				Value:      "ping",
			})
			requests := service.receiver(queue, nil)
			request := requests.next()
			requests.acceptMessage(request)
			send(service.sender(*request.Properties.ReplyTo, nil), &amqp.Message{
				Properties: &amqp.MessageProperties{CorrelationID: request.Properties.MessageID},
				Value:      "pong",
			})
			reply := replies.next()
			replies.acceptMessage(reply)
			equal(reply.Value, "pong", "the reply")
			equal(reply.Properties.CorrelationID, "q-1", "its correlation id")
			replies.close()
			_, err := service.trySender(address, nil)
			mustRefuse(err, amqp.ErrCondNotFound)
		})
	})
}

func anonymousProducer() {
	connected(dialOptions{}, func(c *client) {
		relay := c.sender("", nil)
		for _, name := range []string{"relay-a", "relay-b"} {
			queue := fresh(name)
			receiver := c.receiver(queue, nil)
			send(relay, &amqp.Message{Properties: &amqp.MessageProperties{To: &queue}, Value: name})
			equal(receiver.accept(1), []any{name}, "the bodies")
		}
		ctx, cancel := within()
		defer cancel()
		if relay.Send(ctx, value("nowhere"), nil) == nil {
			fail("a message to nowhere was accepted")
		}
	})
}
