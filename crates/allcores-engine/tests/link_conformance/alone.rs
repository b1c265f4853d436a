//! What only one of the links has.

use std::os::fd::AsFd;

use allcores_engine::link::{Next, Task, Work};
use allcores_engine::{BatchId, Instance, Items, LinkKind, Port};
use allcores_shm::{
    Arena, Block, ClaimCell, LINK_SEGMENT, LinkLayout, Message, POOL_SEGMENT, PoolLayout, Producer,
    Socket,
};

use crate::common::place::Running;
use crate::common::worker::Job;
use crate::common::{bytes, watched};
use crate::rig::{Parcel, Rig, unread};

#[test]
fn a_stream_takes_more_than_its_socket_while_the_worker_does_not_read() {
    watched(|| {
        let payload = bytes(1, 5 << 20);
        let (mut end, hub, worker) = unread(LinkKind::Stream);
        let task = |batch, job: Job| Task {
            batch: BatchId(batch),
            instance: Instance(0),
            function: None,
            tag: job.tag(),
            items: Items::all(1),
            careful: false,
        };
        end.sender.send_task(&task(1, Job::Echo), payload[..].into()).unwrap();
        end.sender.send_task(&task(2, Job::Who), b""[..].into()).unwrap();
        assert!(end.sender.sleeper().is_some(), "the collector has to write on");
        assert!(end.sender.write_on(), "nobody has read");
        end.sender.send_stop().unwrap();

        let (running, gate) = Running::thread(77, move || Port::over(worker));
        let mut rig = Rig::over(end, hub, running, gate);
        assert!(matches!(rig.next(), Some(allcores_engine::link::Answer::Ready)));
        assert!(rig.done(1) == payload, "it came back garbled");
        assert_eq!(rig.done(2), 77_u64.to_le_bytes());
        rig.gone();
        assert!(!rig.sender.write_on(), "nothing is left");
        assert!(rig.leave().0);
    });
}

#[test]
fn a_stream_whose_worker_leaves_drops_what_was_not_written() {
    watched(|| {
        let (mut end, hub, worker) = unread(LinkKind::Stream);
        let parcel = bytes(1, 5 << 20);
        let task = Task {
            batch: BatchId(1),
            instance: Instance(0),
            function: None,
            tag: 0,
            items: Items::all(1),
            careful: false,
        };
        end.sender.send_task(&task, parcel[..].into()).unwrap();
        assert!(end.sender.write_on());
        drop(worker);
        assert!(!end.sender.write_on());
        drop(hub);
    });
}

/// A parent made by hand.
struct Bare {
    socket: Socket,
    link: LinkLayout,
    tasks: Producer,
    port: Port,
}

impl Bare {
    fn new() -> Bare {
        let (socket, theirs) = Socket::pair().unwrap();
        let (link, pool) = (LinkLayout::create().unwrap(), PoolLayout::create().unwrap());
        socket.send_segment(LINK_SEGMENT, link.segment.fd()).unwrap();
        socket.send_segment(POOL_SEGMENT, pool.segment.fd()).unwrap();
        let tasks = Producer::new(link.task_ring.clone()).unwrap();
        let port = Port::attach(LinkKind::Shm, theirs.into_fd()).unwrap();
        Bare { socket, link, tasks, port }
    }

    fn announce(&self, arena: &Arena, block: &Block) {
        let id = block.at().segment();
        assert_eq!(id, 0, "both arenas begin alike");
        self.socket.send_segment(id, arena.segment(id).unwrap().fd().as_fd()).unwrap();
    }

    fn send(&mut self, batch: u64, block: &Block) {
        ClaimCell::new(&self.link.claims.cells()[0]).offer(batch);
        let message = Message::Task {
            batch,
            instance: 0,
            function: None,
            tag: 0,
            start: 0,
            stop: 1,
            careful: false,
            cell: 0,
            generation: batch,
            payload: Some(block.payload()),
        };
        self.tasks.push(&message.encode()).unwrap();
    }

    fn received(&mut self) -> Vec<u8> {
        match self.port.try_next().expect("what was announced can be read") {
            Next::Work(Work::Task { body, .. }) => body.to_vec(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_segment_whose_id_was_used_before_is_found_by_a_worker_that_never_slept() {
    watched(|| {
        let mut bare = Bare::new();
        let (mut early, mut late) = (Arena::new(), Arena::new());
        let first = early.allocate(5).unwrap();
        first.write(0, b"first").unwrap();
        bare.announce(&early, &first);
        bare.send(1, &first);
        assert_eq!(bare.received(), b"first");

        bare.socket.send_retired(0).unwrap();
        late.allocate(6).unwrap();
        let second = late.allocate(6).unwrap();
        second.write(0, b"second").unwrap();
        bare.announce(&late, &second);
        bare.send(2, &second);
        assert_eq!(bare.received(), b"second");
    });
}

#[test]
fn cancelled_batches_and_large_segments_give_their_memory_back() {
    watched(|| {
        let mut rig = Rig::new(crate::Way::ShmThread);
        let before = memfds();
        for round in 0..1_500 {
            rig.send(Parcel::new(3 * round, Job::Hold));
            rig.gate.entered();
            rig.send(Parcel::new(3 * round + 1, Job::Echo).with(&bytes(round, 300 << 10)));
            assert!(rig.sender.cancel(BatchId(3 * round + 1), Instance(0)));
            rig.gate.open();
            rig.done(3 * round);
            rig.skipped(3 * round + 1);
        }
        assert!(memfds() < before + 1_000, "a segment was made for each batch");
    });
}

/// How many descriptors this process has; other tests of this binary have some as well.
fn memfds() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
