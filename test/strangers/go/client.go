package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/Azure/go-amqp"
)

var run = strconv.FormatInt(time.Now().UnixMilli(), 36)

// fresh answers a name that no earlier run has left anything under.
func fresh(name string) string {
	return fmt.Sprintf("strangers.go.%s.%s", name, run)
}

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func tlsConfig() *tls.Config {
	pem, err := os.ReadFile(os.Getenv("BROKER_CA"))
	must(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		fail("there is no certificate in BROKER_CA")
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

// client is a connection with one session.
type client struct {
	conn    *amqp.Conn
	session *amqp.Session
}

type dialOptions struct {
	user, password, container string
	tls                       bool
	maxFrameSize              uint32
	idle                      time.Duration
}

func tryDial(options dialOptions) (*client, error) {
	if options.user == "" {
		options.user, options.password = os.Getenv("BROKER_USER"), os.Getenv("BROKER_PASSWORD")
	}
	conn := &amqp.ConnOptions{
		SASLType:     amqp.SASLTypePlain(options.user, options.password),
		ContainerID:  options.container,
		MaxFrameSize: options.maxFrameSize,
		IdleTimeout:  options.idle,
	}
	url := fmt.Sprintf("amqp://%s:%s", os.Getenv("BROKER_HOST"), os.Getenv("BROKER_PORT"))
	if options.tls {
		url = fmt.Sprintf("amqps://%s:%s", os.Getenv("BROKER_HOST"), os.Getenv("BROKER_TLS_PORT"))
		conn.TLSConfig = tlsConfig()
	}
	ctx, cancel := within()
	defer cancel()
	connected, err := amqp.Dial(ctx, url, conn)
	if err != nil {
		return nil, err
	}
	session, err := connected.NewSession(ctx, nil)
	if err != nil {
		_ = connected.Close()
		return nil, err
	}
	return &client{connected, session}, nil
}

func dial(options dialOptions) *client {
	opened, err := tryDial(options)
	must(err)
	return opened
}

func connected(options dialOptions, use func(*client)) {
	opened := dial(options)
	defer func() { _ = opened.conn.Close() }()
	use(opened)
}

func (c *client) trySender(target string, options *amqp.SenderOptions) (*amqp.Sender, error) {
	ctx, cancel := within()
	defer cancel()
	return c.session.NewSender(ctx, target, options)
}

func (c *client) sender(target string, options *amqp.SenderOptions) *amqp.Sender {
	sender, err := c.trySender(target, options)
	must(err)
	return sender
}

func (c *client) tryReceiver(source string, options *amqp.ReceiverOptions) (*inbox, error) {
	if options == nil {
		options = &amqp.ReceiverOptions{}
	}
	// Credit is given for each message that is asked for, unless there is a window.
	if options.Credit == 0 {
		options.Credit = -1
	}
	ctx, cancel := within()
	defer cancel()
	receiver, err := c.session.NewReceiver(ctx, source, options)
	if err != nil {
		return nil, err
	}
	return &inbox{receiver, options.Credit < 0}, nil
}

func (c *client) receiver(source string, options *amqp.ReceiverOptions) *inbox {
	receiver, err := c.tryReceiver(source, options)
	must(err)
	return receiver
}

func send(sender *amqp.Sender, messages ...*amqp.Message) {
	ctx, cancel := within()
	defer cancel()
	for _, message := range messages {
		must(sender.Send(ctx, message, nil))
	}
}

func (c *client) send(target string, bodies ...any) {
	sender := c.sender(target, nil)
	for _, body := range bodies {
		send(sender, value(body))
	}
	ctx, cancel := within()
	defer cancel()
	must(sender.Close(ctx))
}

func value(body any) *amqp.Message {
	return &amqp.Message{Value: body}
}

type inbox struct {
	*amqp.Receiver
	manual bool
}

// next answers the next message; it must be settled.
func (r *inbox) next() *amqp.Message {
	if r.manual {
		must(r.IssueCredit(1))
	}
	return r.arrived()
}

func (r *inbox) arrived() *amqp.Message {
	ctx, cancel := within()
	defer cancel()
	message, err := r.Receive(ctx, nil)
	must(err)
	return message
}

func (r *inbox) acceptMessage(message *amqp.Message) {
	ctx, cancel := within()
	defer cancel()
	must(r.AcceptMessage(ctx, message))
}

func (r *inbox) modify(message *amqp.Message, options amqp.ModifyMessageOptions) {
	ctx, cancel := within()
	defer cancel()
	must(r.ModifyMessage(ctx, message, &options))
}

func (r *inbox) accept(count int) []any {
	bodies := []any{}
	for len(bodies) < count {
		message := r.next()
		r.acceptMessage(message)
		bodies = append(bodies, message.Value)
	}
	return bodies
}

// drain answers what is there now. The client forgets credit that it has not sent yet when it is told to drain, so the
// first message is waited for, a while.
func (r *inbox) drain(credit uint32) []*amqp.Message {
	must(r.IssueCredit(credit))
	messages := []*amqp.Message{}
	brief, done := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer done()
	if first, err := r.Receive(brief, nil); err == nil {
		messages = append(messages, first)
	}
	ctx, cancel := within()
	defer cancel()
	must(r.DrainCredit(ctx, nil))
	for message := r.Prefetched(); message != nil; message = r.Prefetched() {
		messages = append(messages, message)
	}
	return messages
}

func (r *inbox) mustBeEmpty(what string) {
	if messages := r.drain(10); len(messages) > 0 {
		fail("%s still holds %v", what, messages[0].Value)
	}
}

func (r *inbox) close() {
	ctx, cancel := within()
	defer cancel()
	must(r.Close(ctx))
}

func mustRefuse(err error, condition amqp.ErrCond) {
	var refused *amqp.Error
	if !errors.As(err, &refused) {
		fail("the attach ended with %v, and should be refused with %s", err, condition)
	}
	equal(refused.Condition, condition, "the condition of the refused attach")
}
