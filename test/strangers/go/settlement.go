package main

import (
	"github.com/Azure/go-amqp"
)

var settlement = []check{
	{"send and receive", sendAndReceive},
	{"accepted", accepted},
	{"released", released},
	{"rejected", rejected},
	{"modified, delivery failed", modifiedFailed},
	{"modified, undeliverable here", modifiedElsewhere},
	{"left unsettled", leftUnsettled},
	{"send pre-settled", sendPresettled},
	{"receive pre-settled", receivePresettled},
	{"settle second", settleSecond},
	{"drain", drain},
}

func sendAndReceive() {
	connected(dialOptions{}, func(c *client) {
		queue, subject := fresh("roundtrip"), "greeting"
		sent := &amqp.Message{
			Header:                &amqp.MessageHeader{Durable: true, Priority: 7},
			Annotations:           amqp.Annotations{"x-mine": "a"},
			Properties:            &amqp.MessageProperties{MessageID: "m-1", CorrelationID: "c-1", Subject: &subject},
			ApplicationProperties: map[string]any{"text": "ü", "number": int64(42), "yes": true},
			Data:                  [][]byte{[]byte("some"), []byte("bytes")},
			Footer:                amqp.Annotations{"checksum": "abc"},
		}
		send(c.sender(queue, nil), sent)
		receiver := c.receiver(queue, nil)
		got := receiver.next()
		receiver.acceptMessage(got)
		equal(got.Header.Priority, sent.Header.Priority, "the priority")
		equal(got.Annotations, sent.Annotations, "the annotations")
		equal(got.Properties.MessageID, sent.Properties.MessageID, "the message id")
		equal(*got.Properties.Subject, subject, "the subject")
		equal(got.ApplicationProperties, sent.ApplicationProperties, "the application properties")
		equal(got.Data, sent.Data, "the body")
		equal(got.Footer, sent.Footer, "the footer")
	})
}

func accepted() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("accepted")
		c.send(queue, "one", "two")
		receiver := c.receiver(queue, nil)
		equal(receiver.accept(2), []any{"one", "two"}, "the bodies")
		receiver.close()
		c.receiver(queue, nil).mustBeEmpty("the queue")
	})
}

func released() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("released")
		c.send(queue, "again")
		receiver := c.receiver(queue, nil)
		ctx, cancel := within()
		defer cancel()
		must(receiver.ReleaseMessage(ctx, receiver.next()))
		message := receiver.next()
		receiver.acceptMessage(message)
		equal(message.Header.DeliveryCount, uint32(0), "the delivery count")
	})
}

func rejected() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("rejected")
		c.send(queue, "bad")
		receiver := c.receiver(queue, nil)
		ctx, cancel := within()
		defer cancel()
		must(receiver.RejectMessage(ctx, receiver.next(), &amqp.Error{Condition: "app:bad", Description: "no use"}))
		equal(c.receiver(queue+".dlq", nil).accept(1), []any{"bad"}, "the dead letter")
		receiver.mustBeEmpty("the queue")
	})
}

func modifiedFailed() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("failed")
		c.send(queue, "again")
		receiver := c.receiver(queue, nil)
		receiver.modify(receiver.next(), amqp.ModifyMessageOptions{DeliveryFailed: true})
		message := receiver.next()
		receiver.acceptMessage(message)
		equal(message.Header.DeliveryCount, uint32(1), "the delivery count")
	})
}

func modifiedElsewhere() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("elsewhere")
		c.send(queue, "elsewhere")
		first := c.receiver(queue, nil)
		first.modify(first.next(), amqp.ModifyMessageOptions{UndeliverableHere: true})
		first.mustBeEmpty("the first link")
		equal(c.receiver(queue, nil).accept(1), []any{"elsewhere"}, "the bodies")
	})
}

func leftUnsettled() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("unsettled")
		c.send(queue, "back")
		connected(dialOptions{}, func(other *client) { other.receiver(queue, nil).next() })
		equal(c.receiver(queue, nil).accept(1), []any{"back"}, "the bodies")
	})
}

func sendPresettled() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("presettled-in")
		send(c.sender(queue, &amqp.SenderOptions{SettlementMode: amqp.SenderSettleModeSettled.Ptr()}), value("forgotten"))
		equal(c.receiver(queue, nil).accept(1), []any{"forgotten"}, "the bodies")
	})
}

func receivePresettled() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("presettled-out")
		c.send(queue, "at most once")
		receiver := c.receiver(queue, &amqp.ReceiverOptions{
			RequestedSenderSettleMode: amqp.SenderSettleModeSettled.Ptr(),
		})
		equal(receiver.next().Value, "at most once", "the body")
		receiver.close()
		c.receiver(queue, nil).mustBeEmpty("the queue")
	})
}

// Accepting returns when the broker has settled.
func settleSecond() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("second")
		c.send(queue, "one")
		receiver := c.receiver(queue, &amqp.ReceiverOptions{SettlementMode: amqp.ReceiverSettleModeSecond.Ptr()})
		equal(receiver.accept(1), []any{"one"}, "the bodies")
		receiver.close()
		c.receiver(queue, nil).mustBeEmpty("the queue")
	})
}

func drain() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("drain")
		c.send(queue, "one", "two", "three")
		receiver := c.receiver(queue, nil)
		messages := receiver.drain(10)
		equal(len(messages), 3, "the number of messages that came before the drain ended")
		for _, message := range messages {
			receiver.acceptMessage(message)
		}
		receiver.mustBeEmpty("the queue")
	})
}
