//! Decoders of words in shared memory: messages, rings, flags, claim cells, layouts, references.

use allcores_engine::primitive::Ordering;
use allcores_shm::{
    Bell, BlockRef, ClaimCell, ClaimState, Consumer, LinkLayout, MAX_GENERATION, MESSAGE_WORDS,
    Message, PoolLayout, Producer, Segment, Shelf, TASK_RING,
};

use super::reader::Reader;

/// Any eight words are a message or an error, and a message has one form.
pub(crate) fn messages(data: &[u8]) {
    for bytes in data.chunks_exact(8 * MESSAGE_WORDS) {
        let mut words = [0; MESSAGE_WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        one_form(&words);
    }
    let mut reader = Reader::new(data);
    one_form(&reader.message(&[]));
}

fn one_form(words: &[u64; MESSAGE_WORDS]) {
    if let Ok(message) = Message::decode(words) {
        assert_eq!(message.encode(), *words, "{message:?} has two forms");
    }
}

/// A link whose every word may change at any time.
pub(crate) fn link_words(data: &[u8]) {
    let mut reader = Reader::new(data);
    let link = LinkLayout::create().expect("memory");
    let mut producer = Producer::new(link.task_ring.clone()).expect("a fresh ring");
    let mut consumer = Consumer::new(link.result_ring.clone()).expect("a fresh ring");
    let bell = Bell::new(link.worker_flag.clone()).expect("a flag");
    let mut generation = 0;
    while let Some(step) = reader.step() {
        match step % 7 {
            0..=2 => scribble(&link.segment, &mut reader),
            3 => drop(producer.push(&reader.message(&[]))),
            4 => pop_all(&mut consumer),
            5 => {
                let _rings = bell.must_ring();
                bell.about_to_sleep();
                bell.awake();
            }
            _ => {
                let cells = link.claims.cells();
                let cell = ClaimCell::new(&cells[reader.below(cells.len())]);
                generation = (generation + reader.word() % 3) & MAX_GENERATION;
                one_winner(cell, generation);
            }
        }
    }
    // What can be opened has all its parts.
    drop(LinkLayout::open(again(&link.segment)));
}

/// Whatever the cell held: at most one side leaves `Queued`, and only from there.
fn one_winner(cell: ClaimCell<'_>, generation: u64) {
    let before = cell.state(generation);
    let (cancelled, claimed) = (cell.cancel(generation), cell.claim(generation));
    assert_eq!(before == ClaimState::Queued, cancelled, "left another state than `Queued`");
    assert!(!claimed, "claimed after it was cancelled, or never offered");
}

/// Never more messages than slots between two scribbles, or a peer could keep us busy for ever.
fn pop_all(consumer: &mut Consumer) {
    let mut taken = 0;
    while let Ok(Some(words)) = consumer.pop() {
        one_form(&words);
        taken += 1;
        assert!(taken <= TASK_RING, "the peer makes us spin");
    }
    let _empty = consumer.is_empty();
}

/// One word anywhere, half of the time in the first lines.
pub(crate) fn scribble(segment: &Segment, reader: &mut Reader<'_>) {
    let words = segment.words(0..segment.len() / 8).expect("all its words");
    let far = usize::from(reader.byte()) * 256 + usize::from(reader.byte());
    let at = if far % 2 == 0 { far / 2 % 80 } else { far / 2 };
    words[at % words.len()].store(reader.word(), Ordering::Relaxed);
}

pub(crate) fn again(segment: &Segment) -> Segment {
    let fd = segment.fd().try_clone_to_owned().expect("a descriptor");
    Segment::from_fd(fd).expect("our own segment")
}

/// A segment of any size with any words, taken for a link's or a pool's.
pub(crate) fn layouts(data: &[u8]) {
    let mut reader = Reader::new(data);
    let truth = [
        LinkLayout::create().expect("memory").segment,
        PoolLayout::create().expect("memory").segment,
    ];
    let model = &truth[reader.below(2)];
    let words = (usize::from(reader.byte()) * 16 + usize::from(reader.byte())).max(1);
    let segment = Segment::create(words * 8).expect("memory");
    let len = segment.len().min(model.len());
    segment.copy_in(0, &model.copy_out_to_vec(0, len).expect("inside")).expect("inside");
    while reader.step().is_some() {
        scribble(&segment, &mut reader);
    }
    if let Ok(link) = LinkLayout::open(again(&segment)) {
        // All parts are inside, or it would not have opened.
        let mut ring = Consumer::new(link.result_ring).expect("a ring");
        pop_all(&mut ring);
        assert_eq!(link.claims.cells().len(), allcores_shm::CLAIM_CELLS);
    }
    if let Ok(pool) = PoolLayout::open(segment) {
        let _rings = Bell::new(pool.collector_flag).expect("a flag").must_ring();
    }
}

/// References into segments that a peer filled as it liked, announced and retired at any time.
pub(crate) fn shelf(data: &[u8]) {
    let mut reader = Reader::new(data);
    let mut shelf = Shelf::new();
    let mut segments = Vec::new();
    let mut views = Vec::new();
    while let Some(step) = reader.step() {
        match step % 6 {
            0 => {
                let size = (usize::from(reader.byte()) * 64).max(1);
                let segment = Segment::create(size).expect("memory");
                shelf.insert(reader.below(4) as u32, again(&segment));
                segments.push(segment);
            }
            1 => {
                if let Some(segment) = segments.last()
                    && segment.len() >= 8
                {
                    scribble(segment, &mut reader);
                }
            }
            2 => shelf.remove(reader.below(4) as u32),
            3 => views.clear(),
            _ => {
                let (place, generation) = (reader.word() % 300, reader.word() & 0x3fff_ffff);
                let at = (reader.below(4) as u64) << 44 | place << 30 | generation;
                let len = reader.word();
                if let Ok(view) = shelf.open(BlockRef::from_word(at), len) {
                    assert_eq!(view.copy_to_vec().len() as u64, len, "not what was asked for");
                    assert!(view.copy_out(1, &mut vec![0; view.len()]).is_err());
                    views.push(view);
                }
            }
        }
    }
}
