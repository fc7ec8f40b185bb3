"""Qpid Proton against a broker: python3 main.py [CHECK...]; the environment is described in ../main.ts."""
import sys
import time

from proton import SASL, Condition, ConnectionException, Delivery, Link, Message, symbol
from proton.handlers import MessagingHandler
from proton.reactor import AtMostOnce, Backoff, Container, Copy, DurableSubscription, Selector
from proton.utils import SendException

from client import (LIMITED, LOGIN, TLS_URL, URL, Anonymous, Capabilities, Connection, Failed, NoSource,
                    SettleSecond, Skipped, ask_for_restart, equal, fresh, must_refuse, restart_broker, trusting,
                    wait_for_restart)
from transactions import CHECKS as TRANSACTIONS

MANY = 10_000


def send_and_receive():
    with Connection() as connection:
        queue = fresh('roundtrip')
        fields = {'durable': True, 'id': 'm-1', 'correlation_id': 'c-1', 'subject': 'greeting', 'priority': 7,
                  'properties': {'text': 'ü', 'number': 42, 'yes': True},
                  'annotations': {symbol('x-mine'): 'a'}}
        body = {'list': [1, 'two', None], 'nested': {'deep': 'value'}}
        connection.send(queue, body, **fields)
        message = connection.take(connection.receiver(queue), Delivery.ACCEPTED)
        equal(message.body, body, 'the body')
        for field, value in fields.items():
            equal(getattr(message, field), value, field)


def accepted():
    with Connection() as connection:
        queue = fresh('accepted')
        connection.send(queue, 1, 2)
        receiver = connection.receiver(queue)
        equal(connection.accept(receiver, 2), [1, 2], 'the bodies')
        receiver.close()
        connection.must_be_empty(connection.receiver(queue), 'the queue')


def released():
    with Connection() as connection:
        queue = fresh('released')
        connection.send(queue, 'again')
        receiver = connection.receiver(queue)
        connection.take(receiver, Delivery.RELEASED)
        message = connection.take(receiver, Delivery.ACCEPTED)
        equal([message.body, message.delivery_count], ['again', 0], 'the body and delivery count')


def rejected():
    with Connection() as connection:
        queue = fresh('rejected')
        connection.send(queue, 'bad', id='m-1')
        receiver = connection.receiver(queue)
        connection.take(receiver, Delivery.REJECTED, condition=Condition('app:bad', 'no use'))
        message = connection.take(connection.receiver(f'{queue}.dlq'), Delivery.ACCEPTED)
        equal([message.body, message.id], ['bad', 'm-1'], 'the dead letter')
        connection.must_be_empty(receiver, 'the queue')


def modified_failed():
    with Connection() as connection:
        queue = fresh('failed')
        connection.send(queue, 'again')
        receiver = connection.receiver(queue)
        connection.take(receiver, Delivery.MODIFIED, failed=True)
        message = connection.take(receiver, Delivery.ACCEPTED)
        equal([message.body, message.delivery_count], ['again', 1], 'the body and delivery count')


def modified_elsewhere():
    with Connection() as connection:
        queue = fresh('elsewhere')
        connection.send(queue, 'elsewhere')
        first = connection.receiver(queue)
        connection.take(first, Delivery.MODIFIED, undeliverable=True)
        connection.must_be_empty(first, 'the first link')
        equal(connection.accept(connection.receiver(queue), 1), ['elsewhere'], 'the bodies')


def left_unsettled():
    with Connection() as connection:
        queue = fresh('unsettled')
        connection.send(queue, 'back')
        with Connection() as other:
            other.take(other.receiver(queue))
        equal(connection.accept(connection.receiver(queue), 1), ['back'], 'the bodies')


def send_presettled():
    with Connection() as connection:
        queue = fresh('presettled-in')
        connection.sender(queue, AtMostOnce()).send(Message(body='fire and forget'))
        equal(connection.accept(connection.receiver(queue), 1), ['fire and forget'], 'the bodies')


def receive_presettled():
    with Connection() as connection:
        queue = fresh('presettled-out')
        connection.send(queue, 'at most once')
        receiver = connection.receiver(queue, AtMostOnce())
        equal(receiver.receive().body, 'at most once', 'the body')
        equal(len(receiver.fetcher.unsettled), 0, 'the number of unsettled deliveries')
        receiver.close()
        connection.must_be_empty(connection.receiver(queue), 'the queue')


def settle_second():
    with Connection() as connection:
        queue = fresh('second')
        connection.send(queue, 1)
        receiver = connection.receiver(queue, SettleSecond())
        equal(receiver.link.remote_rcv_settle_mode, Link.RCV_SECOND, 'the mode in the answer')
        receiver.receive()
        delivery = receiver.fetcher.unsettled.popleft()
        delivery.update(Delivery.ACCEPTED)
        connection.wait(lambda: delivery.settled, 'the settlement of the broker')
        delivery.settle()
        receiver.close()
        connection.must_be_empty(connection.receiver(queue), 'the queue')


def drain():
    with Connection() as connection:
        queue = fresh('drain')
        connection.send(queue, 1, 2, 3)
        receiver = connection.receiver(queue)
        arrived = connection.drain(receiver)
        equal([message.body for message, _ in arrived], [1, 2, 3], 'what came before the drain ended')
        equal(receiver.link.credit, 0, 'the credit left')
        for _, delivery in arrived:
            delivery.update(Delivery.ACCEPTED)
            delivery.settle()
        connection.must_be_empty(receiver, 'the queue')


def browse():
    with Connection() as connection:
        queue = fresh('browse')
        connection.send(queue, 1, 2)
        browser = connection.receiver(queue, Copy())
        equal([message.body for message, _ in connection.drain(browser)], [1, 2], 'what the browser saw')
        browser.close()
        equal(connection.accept(connection.receiver(queue), 2), [1, 2], 'what was left')


def topic():
    with Connection() as connection:
        name = fresh('topic')
        sender = connection.sender(name, Capabilities('topic'))
        sender.send(Message(body=0))
        receivers = [connection.receiver(name, Capabilities('topic')) for _ in range(2)]
        for body in (1, 2, 3):
            sender.send(Message(body=body))
        for receiver in receivers:
            equal(connection.accept(receiver, 3), [1, 2, 3], 'what a subscriber got')


def durable_subscription():
    name, container = fresh('durable'), fresh('subscriber')
    options = (DurableSubscription(), Capabilities('topic'))

    def send(connection, body):
        connection.sender(name, Capabilities('topic')).send(Message(body=body))

    with Connection(container) as connection:
        receiver = connection.receiver(name, *options, name='sub')
        send(connection, 1)
        equal(connection.accept(receiver, 1), [1], 'the first')
        connection.detach(receiver)
    with Connection() as connection:
        send(connection, 2)
    with Connection(container) as connection:
        receiver = connection.receiver(name, *options, name='sub')
        equal(connection.accept(receiver, 1), [2], 'what came in the meantime')
        connection.detach(receiver)
    with Connection(container) as connection:
        connection.receiver(None, NoSource(), name='sub').close()
    with Connection(container) as connection:
        send(connection, 3)
        receiver = connection.receiver(name, *options, name='sub')
        connection.must_be_empty(receiver, 'the subscription made anew')
        receiver.close()


def shared_subscription():
    name, subscription = fresh('shared'), f"{fresh('shared')}|global"
    options = (DurableSubscription(), Capabilities('topic', 'shared', 'global'))
    with Connection() as one, Connection() as other:
        first = one.receiver(name, *options, name=subscription, credit=5)
        second = other.receiver(name, *options, name=subscription, credit=5)
        sender = one.sender(name, Capabilities('topic'))
        for body in range(10):
            sender.send(Message(body=body))
        bodies = [connection.take(receiver, Delivery.ACCEPTED).body
                  for connection, receiver in ((one, first), (other, second)) for _ in range(5)]
        equal(sorted(bodies), list(range(10)), 'what both got')
        one.detach(first)
        other.detach(second)
    with Connection() as connection:
        # Looked up without source it would not be found: proton has no place for the capabilities of a link.
        connection.receiver(name, *options, name=subscription).close()
        connection.sender(name, Capabilities('topic')).send(Message(body=10))
        anew = connection.receiver(name, *options, name=subscription)
        connection.must_be_empty(anew, 'the subscription made anew')
        anew.close()


def sized(connection, address, sizes, *options):
    sender = connection.sender(address, *options)
    for size in sizes:
        sender.send(Message(body=size, durable=True, properties={'size': size}))
    sender.close()


def selector_on_a_queue():
    with Connection() as connection:
        queue = fresh('select')
        large = connection.receiver(queue, Selector('size > 10'))
        sized(connection, queue, [1, 20, 2, 30])
        equal(connection.accept(large, 2), [20, 30], 'what was selected')
        connection.must_be_empty(large, 'the queue for the selector')
        equal(connection.accept(connection.receiver(queue), 2), [1, 2], 'what was left')


def selector_on_a_topic():
    with Connection() as connection:
        name = fresh('select')
        large = connection.receiver(name, Capabilities('topic'), Selector('size > 10', 'jms-selector'))
        every = connection.receiver(name, Capabilities('topic'))
        sized(connection, name, [1, 20, 30], Capabilities('topic'))
        equal(connection.accept(large, 2), [20, 30], 'what was selected')
        connection.must_be_empty(large, 'the subscription')
        equal(connection.accept(every, 3), [1, 20, 30], 'what the other got')


def selector_of_a_durable_subscription():
    name = fresh('select-durable')
    options = (DurableSubscription(), Capabilities('topic'))
    with Connection(fresh('selecting')) as connection:
        large = connection.receiver(name, *options, Selector('size > 10'), name='sub')
        connection.detach(large)
        sized(connection, name, [1, 20], Capabilities('topic'))
        again = connection.receiver(name, *options, Selector('size > 10'), name='sub')
        equal(connection.accept(again, 1), [20], 'what came in the meantime')
        connection.must_be_empty(again, 'the subscription')
        again.close()


def browse_with_a_selector():
    with Connection() as connection:
        queue = fresh('browse-select')
        sized(connection, queue, [1, 20, 2, 30])
        browser = connection.receiver(queue, Copy(), Selector('size > 10'))
        equal([message.body for message, _ in connection.drain(browser)], [20, 30], 'what the browser saw')
        browser.close()
        equal(connection.accept(connection.receiver(queue), 4), [1, 20, 2, 30], 'what was left')


def invalid_selector():
    with Connection() as connection:
        queue = fresh('invalid')
        for wrong in ('size >', "name = 'open", 'a b', 'NOT'):
            must_refuse(lambda text=wrong: connection.receiver(queue, Selector(text)), 'amqp:invalid-field')
        connection.send(queue, 'unharmed')
        equal(connection.accept(connection.receiver(queue), 1), ['unharmed'], 'what came afterwards')


def request_and_reply():
    with Connection() as client, Connection() as service:
        queue = fresh('requests')
        replies = client.receiver(None, dynamic=True)
        address = replies.link.remote_source.address
        client.send(queue, 'ping', id='q-1', reply_to=address)
        request = service.take(service.receiver(queue), Delivery.ACCEPTED)
        service.send(request.reply_to, 'pong', correlation_id=request.id)
        reply = client.take(replies, Delivery.ACCEPTED)
        equal([reply.body, reply.correlation_id], ['pong', 'q-1'], 'the reply')
        replies.close()
        must_refuse(lambda: service.sender(address), 'amqp:not-found')


def anonymous_producer():
    with Connection() as connection:
        relay = connection.sender(None, Anonymous())
        for name in ('relay-a', 'relay-b'):
            queue = fresh(name)
            receiver = connection.receiver(queue)
            relay.send(Message(address=queue, body=name))
            equal(connection.accept(receiver, 1), [name], 'the bodies')
        try:
            relay.send(Message(body='nowhere'))
        except SendException:
            return
        raise Failed('a message to nowhere was accepted')


def large_message():
    with Connection(max_frame_size=16_384) as connection:
        queue, body = fresh('large'), b'millrace ' * 116_509
        connection.send(queue, body, inferred=True)
        message = connection.take(connection.receiver(queue), Delivery.ACCEPTED)
        equal(bytes(message.body) == body, True, 'whether the body came whole')


def many_messages():
    with Connection() as connection:
        queue = fresh('many')
        sender = connection.sender(queue)
        deliveries = []
        for body in range(MANY):
            if sender.link.credit <= 0:
                connection.wait(lambda: sender.link.credit > 0, 'credit')
            deliveries.append(sender.link.send(Message(body=body, durable=True)))
        connection.wait(lambda: all(delivery.settled for delivery in deliveries), 'the outcomes')
        states = {delivery.remote_state for delivery in deliveries}
        equal(states, {Delivery.ACCEPTED}, 'the outcomes')
        receiver = connection.receiver(queue, credit=500)
        for number in range(MANY):
            if receiver.link.credit < 250:
                receiver.link.flow(250)
            equal(connection.take(receiver, Delivery.ACCEPTED).body, number, 'the body')


def priorities():
    with Connection() as connection:
        queue = fresh('priorities')
        sender = connection.sender(queue)
        for priority in (1, 9, 5):
            sender.send(Message(body=priority, priority=priority))
        sender.send(Message(body='none given'))
        sender.send(Message(body=0, priority=0))
        received = connection.accept(connection.receiver(queue), 5)
        equal(received, [9, 5, 'none given', 1, 0], 'the order')


def time_to_live():
    with Connection() as connection:
        queue = fresh('ttl')
        connection.send(queue, 'short', ttl=0.05)
        connection.send(queue, 'long', ttl=600)
        time.sleep(0.2)
        receiver = connection.receiver(queue)
        equal([message.body for message, _ in connection.drain(receiver)], ['long'], 'what was left')


def roundtrip(connection, queue):
    connection.send(queue, 'hello')
    equal(connection.accept(connection.receiver(queue), 1), ['hello'], 'the bodies')


def tls():
    with Connection(url=TLS_URL, ssl_domain=trusting(), virtual_host='localhost') as connection:
        roundtrip(connection, fresh('tls'))


def plain():
    with Connection(allowed_mechs='PLAIN') as connection:
        roundtrip(connection, fresh('plain'))


def scram():
    if not SASL.extended():
        raise Skipped('this proton is built without Cyrus SASL, and so without SCRAM')
    with Connection(allowed_mechs='SCRAM-SHA-256') as connection:
        roundtrip(connection, fresh('scram'))


def wrong_password():
    for mechanism in ('PLAIN', 'SCRAM-SHA-256') if SASL.extended() else ('PLAIN',):
        try:
            with Connection(allowed_mechs=mechanism, password='wrong'):
                raise Failed(f'{mechanism} let a wrong password in')
        except ConnectionException as error:
            if 'Authentication failed' not in str(error):
                raise Failed(f'{mechanism}: refused with {error}')


def forbidden_destination():
    with Connection(**LIMITED) as connection:
        roundtrip(connection, f"public.{fresh('proton')}")
        forbidden = fresh('forbidden')
        must_refuse(lambda: connection.sender(forbidden), 'amqp:unauthorized-access')
        must_refuse(lambda: connection.receiver(forbidden), 'amqp:unauthorized-access')
        relay = connection.sender(None, Anonymous())
        delivery = relay.send(Message(address=forbidden, body=1), error_states=[])
        equal(delivery.remote_state, Delivery.REJECTED, 'the outcome of the relay')
        equal(delivery.remote.condition.name, 'amqp:unauthorized-access', 'the condition')


def idle_connection():
    with Connection(heartbeat=2) as connection:
        until = time.monotonic() + 3
        connection.wait(lambda: time.monotonic() > until, 'nothing')
        roundtrip(connection, fresh('idle'))


class Reconnecting(MessagingHandler):
    """Sends numbers until all are confirmed, receives until all have come; the broker is killed on the way."""
    MESSAGES = 1_000
    KILL_AFTER = 300

    def __init__(self, queue):
        super().__init__(prefetch=20)
        self.queue = queue
        self.waiting = list(range(self.MESSAGES, 0, -1))
        self.in_flight = {}
        self.confirmed = set()
        self.seen = set()
        self.killed = False
        self.sender = None
        self.disconnections = 0

    def on_start(self, event):
        connection = event.container.connect(
            URL, reconnect=Backoff(initial=0.02, max_delay=0.2), **LOGIN)
        self.sender = event.container.create_sender(connection, self.queue)
        event.container.create_receiver(connection, self.queue)

    def on_sendable(self, event):
        self.pump()

    def pump(self):
        while self.waiting and len(self.in_flight) < 50 and self.sender.credit > 0:
            number = self.waiting.pop()
            self.in_flight[self.sender.send(Message(body=number, durable=True))] = number

    def on_accepted(self, event):
        number = self.in_flight.pop(event.delivery, None)
        if number is None:
            return
        self.confirmed.add(number)
        if len(self.confirmed) >= self.KILL_AFTER and not self.killed:
            self.killed = True
            ask_for_restart()
        self.pump()
        self.finish(event)

    def on_disconnected(self, event):
        self.disconnections += 1
        self.waiting += self.in_flight.values()
        self.in_flight.clear()

    def on_message(self, event):
        self.seen.add(event.message.body)
        self.finish(event)

    def finish(self, event):
        if len(self.confirmed) == self.MESSAGES and len(self.seen) == self.MESSAGES:
            event.connection.close()


def reconnect():
    handler = Reconnecting(fresh('reconnect'))
    Container(handler).run()
    wait_for_restart()
    equal([len(handler.confirmed), len(handler.seen)], [handler.MESSAGES] * 2, 'what was confirmed and came')
    equal(handler.disconnections > 0, True, 'whether the connection was lost')


def restart_of_the_broker():
    queue = fresh('restart')
    with Connection() as connection:
        connection.send(queue, *range(100), durable=True)
        connection.accept(connection.receiver(queue), 10)
    restart_broker()
    with Connection() as connection:
        arrived = connection.drain(connection.receiver(queue), 200)
        # What was acknowledged a moment before the kill may come again; what was not must come.
        equal([message.body for message, _ in arrived][-90:], list(range(10, 100)), 'what was kept')


CHECKS = {
    'send and receive': send_and_receive,
    'accepted': accepted,
    'released': released,
    'rejected': rejected,
    'modified, delivery failed': modified_failed,
    'modified, undeliverable here': modified_elsewhere,
    'left unsettled': left_unsettled,
    'send pre-settled': send_presettled,
    'receive pre-settled': receive_presettled,
    'settle second': settle_second,
    'drain': drain,
    **TRANSACTIONS,
    'browse': browse,
    'topic': topic,
    'durable subscription': durable_subscription,
    'shared subscription': shared_subscription,
    'selector on a queue': selector_on_a_queue,
    'selector on a topic': selector_on_a_topic,
    'selector of a durable subscription': selector_of_a_durable_subscription,
    'browse with a selector': browse_with_a_selector,
    'invalid selector': invalid_selector,
    'request and reply': request_and_reply,
    'anonymous producer': anonymous_producer,
    'large message': large_message,
    'many messages': many_messages,
    'priorities': priorities,
    'time to live': time_to_live,
    'TLS': tls,
    'PLAIN': plain,
    'SCRAM-SHA-256': scram,
    'wrong password': wrong_password,
    'forbidden destination': forbidden_destination,
    'idle connection': idle_connection,
    'reconnect': reconnect,
    'restart of the broker': restart_of_the_broker,
}


def main(asked):
    failures = 0
    for name, check in CHECKS.items():
        if asked and name not in asked:
            continue
        try:
            check()
            print(f'ok {name}', flush=True)
        except Skipped as reason:
            print(f'skip {name}: {reason}', flush=True)
        except Exception as error:
            failures += 1
            print(f'FAIL {name}: {type(error).__name__} {error}'.replace('\n', ' '), flush=True)
    return 1 if failures else 0


sys.exit(main(sys.argv[1:]))
