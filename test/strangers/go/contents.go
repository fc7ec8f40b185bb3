package main

import (
	"bytes"
	"time"

	"github.com/Azure/go-amqp"
)

const many = 10_000
const megabyte = 1024 * 1024

var contents = []check{
	{"large message", largeMessage},
	{"many messages", manyMessages},
	{"priorities", priorities},
	{"time to live", timeToLive},
}

func largeMessage() {
	connected(dialOptions{maxFrameSize: 16_384}, func(c *client) {
		queue, body := fresh("large"), bytes.Repeat([]byte("millrace"), megabyte/8)
		send(c.sender(queue, nil), amqp.NewMessage(body))
		receiver := c.receiver(queue, nil)
		message := receiver.next()
		receiver.acceptMessage(message)
		equal(bytes.Equal(message.GetData(), body), true, "whether the body came whole")
	})
}

func manyMessages() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("many")
		sender := c.sender(queue, nil)
		receipts := make(chan amqp.SendReceipt, 500)
		failure := make(chan error, 1)
		go func() {
			defer close(receipts)
			ctx, cancel := within()
			defer cancel()
			for number := 0; number < many; number++ {
				receipt, err := sender.SendWithReceipt(ctx, value(int64(number)), nil)
				if err != nil {
					failure <- err
					return
				}
				receipts <- receipt
			}
		}()
		for receipt := range receipts {
			confirm(receipt)
		}
		select {
		case err := <-failure:
			must(err)
		default:
		}
		receiver := c.receiver(queue, &amqp.ReceiverOptions{Credit: 500})
		for number := 0; number < many; number++ {
			message := receiver.next()
			if message.Value != int64(number) {
				equal(message.Value, int64(number), "the body")
			}
			receiver.acceptMessage(message)
		}
	})
}

func confirm(receipt amqp.SendReceipt) {
	ctx, cancel := within()
	defer cancel()
	state, err := receipt.Wait(ctx)
	must(err)
	if _, ok := state.(*amqp.StateAccepted); !ok {
		fail("an outcome is %#v, not accepted", state)
	}
}

func priorities() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("priorities")
		sender := c.sender(queue, nil)
		for _, priority := range []uint8{1, 9, 5} {
			send(sender, &amqp.Message{Header: &amqp.MessageHeader{Priority: priority}, Value: int64(priority)})
		}
		send(sender, value("none given"))
		send(sender, &amqp.Message{Header: &amqp.MessageHeader{Priority: 0}, Value: int64(0)})
		received := c.receiver(queue, nil).accept(5)
		equal(received, []any{int64(9), int64(5), "none given", int64(1), int64(0)}, "the order")
	})
}

func timeToLive() {
	connected(dialOptions{}, func(c *client) {
		queue := fresh("ttl")
		send(c.sender(queue, nil),
			&amqp.Message{Header: &amqp.MessageHeader{Priority: 4, TTL: 50 * time.Millisecond}, Value: "short"},
			&amqp.Message{Header: &amqp.MessageHeader{Priority: 4, TTL: 10 * time.Minute}, Value: "long"})
		time.Sleep(200 * time.Millisecond)
		messages := c.receiver(queue, nil).drain(10)
		if len(messages) != 1 || messages[0].Value != "long" {
			fail("%d messages were left, not just the long one", len(messages))
		}
	})
}
