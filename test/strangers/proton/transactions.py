"""Transactions: proton's own, which retires deliveries settled or, as the standard has it, unsettled."""
from proton import Delivery, Message
from proton.handlers import MessagingHandler, TransactionHandler
from proton.reactor import Container

from client import LOGIN, PATIENCE, URL, Connection, ask_for_restart, equal, fresh, wait_for_restart


class Work(MessagingHandler, TransactionHandler):
    """Takes a message, sends another in the same transaction, and ends that as it was told."""

    def __init__(self, take_from, send_to, end, settle=False):
        super().__init__(prefetch=0, auto_accept=False)
        self.take_from = take_from
        self.send_to = send_to
        self.end = end
        self.settle = settle
        self.outcome = None
        self.transaction = None

    def run(self):
        container = Container(self)
        container.container_id = fresh('controller')
        container.run()
        return self.outcome

    def on_start(self, event):
        self.connection = event.container.connect(URL, reconnect=False, **LOGIN)
        self.receiver = event.container.create_receiver(self.connection, self.take_from)
        self.sender = event.container.create_sender(self.connection, self.send_to)
        event.container.declare_transaction(self.connection, handler=self, settle_before_discharge=self.settle)
        self.patience = event.container.schedule(PATIENCE, self)

    def on_timer_task(self, _):
        self.finish('nothing within the patience')

    def finish(self, outcome):
        if self.outcome is None:
            self.outcome = outcome
            self.patience.cancel()
            self.connection.close()

    def on_transaction_declared(self, event):
        self.transaction = event.transaction
        self.transaction.send(self.sender, Message(body='out', durable=True))
        self.receiver.flow(1)

    def on_message(self, event):
        self.transaction.accept(event.delivery)
        self.end(self)

    def on_transaction_committed(self, _):
        self.finish('committed')

    def on_transaction_aborted(self, _):
        self.finish('aborted')

    def on_transaction_commit_failed(self, _):
        self.finish('commit failed')

    def on_transaction_declare_failed(self, _):
        self.finish('declare failed')

    def on_disconnected(self, _):
        self.finish('disconnected')


def commit(work):
    work.transaction.commit()


def abort(work):
    work.transaction.abort()


def prepared(name):
    queues = fresh(f'{name}-in'), fresh(f'{name}-out')
    with Connection() as connection:
        connection.send(queues[0], 'in', durable=True)
        connection.receiver(queues[1])
    return queues


def bodies(connection, queue):
    arrived = connection.drain(connection.receiver(queue))
    for _, delivery in arrived:
        delivery.update(Delivery.ACCEPTED)
        delivery.settle()
    return [message.body for message, _ in arrived]


def transaction_committed():
    for settle in [True, False]:
        source, target = prepared('tx-commit')
        equal(Work(source, target, commit, settle).run(), 'committed', 'the end')
        with Connection() as connection:
            equal([bodies(connection, source), bodies(connection, target)], [[], ['out']], 'what is left')


def transaction_rolled_back():
    for settle in [True, False]:
        source, target = prepared('tx-abort')
        equal(Work(source, target, abort, settle).run(), 'aborted', 'the end')
        with Connection() as connection:
            equal([bodies(connection, source), bodies(connection, target)], [['in'], []], 'what is left')


def broker_dies_inside_a_transaction():
    source, target = prepared('tx-died')
    equal(Work(source, target, lambda _: ask_for_restart()).run(), 'disconnected', 'the end')
    wait_for_restart()
    with Connection() as connection:
        equal([bodies(connection, source), bodies(connection, target)], [['in'], []], 'what is left')


CHECKS = {
    'transaction, committed': transaction_committed,
    'transaction, rolled back': transaction_rolled_back,
    'broker dies inside a transaction': broker_dies_inside_a_transaction,
}
