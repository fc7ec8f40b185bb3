"""proton's blocking connection, and what the checks need besides."""
import itertools
import os
import sys
import time

from proton import UNDESCRIBED, Array, Data, Message, SSLDomain, Terminus, symbol
from proton.reactor import Container, LinkOption
from proton.utils import BlockingConnection, LinkDetached

PATIENCE = 10
RUN = format(int(time.time() * 1000), 'x')
HOST = os.environ['BROKER_HOST']
URL = f"amqp://{HOST}:{os.environ['BROKER_PORT']}"
TLS_URL = f"amqps://{HOST}:{os.environ['BROKER_TLS_PORT']}"
LOGIN = {'user': os.environ['BROKER_USER'], 'password': os.environ['BROKER_PASSWORD']}
LIMITED = {'user': os.environ['BROKER_LIMITED_USER'], 'password': os.environ['BROKER_LIMITED_PASSWORD']}


# proton gives links of the same address the same name.
numbers = itertools.count()


class Failed(Exception):
    pass


class Skipped(Exception):
    """What the client cannot do, and why."""


def equal(actual, expected, what):
    if actual != expected:
        raise Failed(f'{what} is {actual!r}, not {expected!r}')


def fresh(name):
    """A name that no earlier run has left anything under."""
    return f'strangers.proton.{name}.{RUN}'


def trusting():
    """TLS that believes the authority of the tests, and nobody else."""
    domain = SSLDomain(SSLDomain.MODE_CLIENT)
    domain.set_trusted_ca_db(os.environ['BROKER_CA'])
    domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
    return domain


class Capabilities(LinkOption):
    """Of the node: the source of a receiver, the target of a sender."""

    def __init__(self, *names):
        self.names = Array(UNDESCRIBED, Data.SYMBOL, *[symbol(name) for name in names])

    def apply(self, link):
        terminus = link.source if link.is_receiver else link.target
        terminus.capabilities.put_object(self.names)


class NoSource(LinkOption):
    """Asks for the link of that name as it was left."""

    def apply(self, link):
        link.source.type = Terminus.UNSPECIFIED


class SettleSecond(LinkOption):
    def apply(self, link):
        link.rcv_settle_mode = 1


class Anonymous(LinkOption):
    def apply(self, link):
        link.target.type = Terminus.TARGET
        link.target.address = None


class Connection:
    """With a container of its own. To be used in a with statement."""

    def __init__(self, container_id=None, url=URL, **options):
        container = Container()
        container.container_id = container_id or f'proton-{RUN}-{id(self)}'
        options = {**LOGIN, **options}
        self.blocking = BlockingConnection(url, timeout=PATIENCE, container=container, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.blocking.close()

    def sender(self, address, *options):
        return self.blocking.create_sender(address, name=f'{address}-{next(numbers)}', options=list(options))

    def receiver(self, address, *options, name=None, dynamic=False, credit=0):
        return self.blocking.create_receiver(
            address, credit=credit, name=name or f'{address}-{next(numbers)}', dynamic=dynamic, options=list(options))

    def send(self, address, *bodies, **fields):
        sender = self.sender(address)
        for body in bodies:
            sender.send(Message(body=body, **fields))
        sender.close()

    def wait(self, condition, what):
        self.blocking.wait(condition, timeout=PATIENCE, msg=what)

    def detach(self, receiver):
        """Leaves, but may come back: closed=false."""
        receiver.link.detach()

    def drain(self, receiver, credit=10):
        """What is there now, taken off the receiver: pairs of message and delivery."""
        receiver.link.drain(credit)
        self.wait(lambda: not receiver.link.draining() and receiver.link.queued == 0, 'drained')
        arrived = list(receiver.fetcher.incoming)
        receiver.fetcher.incoming.clear()
        return arrived

    def must_be_empty(self, receiver, what):
        arrived = self.drain(receiver)
        if arrived:
            raise Failed(f'{what} still holds {arrived[0][0]}')

    def take(self, receiver, state=None, **local):
        """The next message, settled with the state; `local` are fields of the disposition."""
        message = receiver.receive()
        if state is not None and receiver.fetcher.unsettled:
            delivery = receiver.fetcher.unsettled.popleft()
            for field, value in local.items():
                setattr(delivery.local, field, value)
            delivery.update(state)
            delivery.settle()
        return message

    def accept(self, receiver, count):
        bodies = []
        for _ in range(count):
            bodies.append(receiver.receive().body)
            receiver.accept()
        return bodies


def must_refuse(attach, condition):
    try:
        attach()
    except LinkDetached as error:
        equal(error.condition, condition, 'the condition of the refused attach')
    else:
        raise Failed('the attach was not refused')


def restart_broker():
    """Has the broker killed with -9 and started again on the same ports; returns when it is ready."""
    ask_for_restart()
    wait_for_restart()


def ask_for_restart():
    print('restart', flush=True)


def wait_for_restart():
    equal(sys.stdin.readline(), 'restarted\n', 'the answer to the wish for a restart')

