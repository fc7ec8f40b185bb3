package main

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/Azure/go-amqp"
)

const messages = 1_000
const killAfter = 300

var connections = []check{
	{"TLS", overTLS},
	{"PLAIN", plain},
	{"SCRAM-SHA-256", skip("go-amqp has no SCRAM")},
	{"wrong password", wrongPassword},
	{"forbidden destination", forbiddenDestination},
	{"idle connection", idleConnection},
	{"reconnect", reconnect},
	{"restart of the broker", restartOfTheBroker},
}

func roundtrip(c *client, queue string) {
	c.send(queue, "hello")
	equal(c.receiver(queue, nil).accept(1), []any{"hello"}, "the bodies")
}

func overTLS() {
	connected(dialOptions{tls: true}, func(c *client) { roundtrip(c, fresh("tls")) })
}

func plain() {
	connected(dialOptions{}, func(c *client) { roundtrip(c, fresh("plain")) })
}

func wrongPassword() {
	_, err := tryDial(dialOptions{user: os.Getenv("BROKER_USER"), password: "wrong"})
	if err == nil || !strings.Contains(err.Error(), "SASL PLAIN auth failed") {
		fail("a wrong password ended with %v", err)
	}
}

func forbiddenDestination() {
	limited := dialOptions{user: os.Getenv("BROKER_LIMITED_USER"), password: os.Getenv("BROKER_LIMITED_PASSWORD")}
	connected(limited, func(c *client) {
		roundtrip(c, "public."+fresh("go"))
		forbidden := fresh("forbidden")
		_, err := c.trySender(forbidden, nil)
		mustRefuse(err, amqp.ErrCondUnauthorizedAccess)
		_, err = c.tryReceiver(forbidden, nil)
		mustRefuse(err, amqp.ErrCondUnauthorizedAccess)
		ctx, cancel := within()
		defer cancel()
		err = c.sender("", nil).Send(ctx, &amqp.Message{
			Properties: &amqp.MessageProperties{To: &forbidden},
			Value:      "no",
		}, nil)
		var rejection *amqp.Error
		if !errors.As(err, &rejection) || rejection.Condition != amqp.ErrCondUnauthorizedAccess {
			fail("the relay answered %#v", err)
		}
	})
}

func idleConnection() {
	connected(dialOptions{idle: 500 * time.Millisecond}, func(c *client) {
		time.Sleep(1500 * time.Millisecond)
		roundtrip(c, fresh("idle"))
	})
}

// untilDone runs work on one connection after the other until it has done all; go-amqp does not reconnect by itself.
func untilDone(work func(*client) (done bool)) {
	for deadline := time.Now().Add(checkDeadline / 2); time.Now().Before(deadline); {
		c, err := tryDial(dialOptions{})
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		done := work(c)
		_ = c.conn.Close()
		if done {
			return
		}
	}
	fail("not done before the deadline")
}

func sendRest(c *client, queue string, confirmed map[int]bool) bool {
	sender, err := c.trySender(queue, nil)
	if err != nil {
		return false
	}
	for number := 0; number < messages; number++ {
		if confirmed[number] {
			continue
		}
		ctx, cancel := within()
		err := sender.Send(ctx, value(int64(number)), nil)
		cancel()
		if err != nil {
			return false
		}
		confirmed[number] = true
		if len(confirmed) == killAfter {
			askForRestart()
		}
	}
	return true
}

func receiveRest(c *client, queue string, seen map[int]bool) bool {
	receiver, err := c.tryReceiver(queue, &amqp.ReceiverOptions{Credit: 20})
	if err != nil {
		return false
	}
	for len(seen) < messages {
		ctx, cancel := within()
		message, err := receiver.Receive(ctx, nil)
		if err == nil {
			seen[int(message.Value.(int64))] = true
			err = receiver.AcceptMessage(ctx, message)
		}
		cancel()
		if err != nil {
			return false
		}
	}
	return true
}

func reconnect() {
	queue := fresh("reconnect")
	confirmed, seen := map[int]bool{}, map[int]bool{}
	received := make(chan any, 1)
	go func() {
		defer func() { received <- recover() }()
		untilDone(func(c *client) bool { return receiveRest(c, queue, seen) })
	}()
	untilDone(func(c *client) bool { return sendRest(c, queue, confirmed) })
	if problem := <-received; problem != nil {
		panic(problem)
	}
	waitForRestart()
	equal([]int{len(confirmed), len(seen)}, []int{messages, messages}, "what was confirmed and came")
}

func restartOfTheBroker() {
	queue := fresh("restart")
	connected(dialOptions{}, func(c *client) {
		sender := c.sender(queue, nil)
		for number := 0; number < 100; number++ {
			send(sender, value(int64(number)))
		}
		c.receiver(queue, nil).accept(10)
	})
	askForRestart()
	waitForRestart()
	connected(dialOptions{}, func(c *client) {
		// What was acknowledged a moment before the kill may come again; what was not must come.
		kept := c.receiver(queue, nil).drain(200)
		if len(kept) < 90 {
			fail("only %d messages were kept", len(kept))
		}
		for index, message := range kept[len(kept)-90:] {
			equal(message.Value, int64(index+10), "a message that was kept")
		}
	})
}
