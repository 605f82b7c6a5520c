//! What a set has once: its total, its accumulator, its sketch.
//!
//! A change touches some sixteen symbols, which are spread over as many rows as there are pages, but for the first ones. To
//! write all of them each time would be most of what is written. So the first page stands in the row of the state, and
//! the others take turns: the n-th change since the set was made writes page `n mod k` of `k`, with all changes since
//! that page was last written. The last `k - 1` changes stand in the row of the state until then.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    Fingerprint, IdPart, IndexError, ItemId, LtHash, SetKey, Symbol,
    sketch::{Mapping, SymbolKey},
    stored::layout::{decode_sum, encode_sum},
};

/// Symbols of a page.
pub(super) const PAGE: usize = 128;
const VERSION: u8 = 1;
const CHECK_DOMAIN: &[u8] = b"syncline/reconcile/stored/v1";
const SUM_LEN: usize = 40;

/// A change that some pages do not have yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) part: IdPart,
    pub(super) removed: bool,
}

impl Op {
    const LEN: usize = IdPart::LEN + 1;

    fn apply(self, symbol: &mut Symbol, item: &Symbol) {
        *symbol = if self.removed { symbol.minus(item) } else { symbol.plus(item) };
    }
}

/// What the reading and writing of a state depends on.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) key: SetKey,
    pub(super) symbols: SymbolKey,
    /// How many symbols are kept.
    pub(super) len: usize,
}

impl Shape {
    /// Pages with rows of their own.
    pub(super) fn pages(&self) -> u64 {
        self.len.saturating_sub(PAGE).div_ceil(PAGE) as u64
    }

    /// After which change a page was last written, when there have been `turn`.
    fn written_at(&self, page: u64, turn: u64) -> u64 {
        match turn.checked_sub(page) {
            None => 0,
            Some(since) => turn - since % self.pages().max(1),
        }
    }

    /// Pages are numbered from 0 and begin with the symbol behind the first page.
    fn page_of(symbol: usize) -> u64 {
        (symbol / PAGE).saturating_sub(1) as u64
    }

    /// Symbols of a page.
    fn page_len(&self, page: u64) -> usize {
        let from = PAGE.saturating_mul(1 + page as usize);
        self.len.saturating_sub(from).min(PAGE)
    }

    /// Eight bytes that depend on the key of the set.
    fn check(&self) -> [u8; 8] {
        self.seal(CHECK_DOMAIN)
    }

    /// Eight bytes by which a flipped bit is found, also in what no other row says.
    fn seal(&self, bytes: &[u8]) -> [u8; 8] {
        let hash = blake3::keyed_hash(self.key.as_bytes(), bytes);
        hash.as_bytes().first_chunk().copied().unwrap_or_default()
    }

    pub(super) fn decode_page(&self, page: u64, row: Option<Bytes>) -> Result<Vec<Symbol>, IndexError> {
        let len = self.page_len(page);
        let Some(row) = row else {
            return Ok(vec![Symbol::EMPTY; len]);
        };
        let symbols = Symbol::all_from_bytes(&row)?;
        if symbols.len() == len {
            Ok(symbols)
        } else {
            Err(IndexError::Corrupt("a page of symbols has another length"))
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) total: Fingerprint,
    pub(super) accumulator: LtHash,
    /// How many changes there were since the set was made.
    turn: u64,
    /// The first page of symbols.
    hot: Vec<Symbol>,
    /// The last changes, the latest of which is number `turn`.
    pending: Vec<Op>,
}

impl State {
    pub(super) fn empty(shape: &Shape) -> Self {
        Self {
            total: Fingerprint::EMPTY,
            accumulator: LtHash::new(),
            turn: 0,
            hot: vec![Symbol::EMPTY; shape.len.min(PAGE)],
            pending: Vec::new(),
        }
    }

    /// A state in which no page waits for anything. The symbols are those of the first page.
    pub(super) fn settled(total: Fingerprint, accumulator: LtHash, hot: Vec<Symbol>) -> Self {
        Self { total, accumulator, turn: 0, hot, pending: Vec::new() }
    }

    pub(super) fn encode(&self, shape: &Shape) -> Bytes {
        let mut out = BytesMut::with_capacity(64 + LtHash::LEN + self.hot.len() * Symbol::LEN);
        out.put_u8(VERSION);
        out.put_slice(&shape.check());
        out.put_u32(shape.len as u32);
        out.put_u64(self.turn);
        out.put_slice(&encode_sum(&self.total));
        out.put_slice(&self.accumulator.to_bytes());
        self.hot.iter().for_each(|symbol| out.put_slice(&symbol.to_bytes()));
        for op in &self.pending {
            out.put_slice(op.part.as_bytes());
            out.put_u8(u8::from(op.removed));
        }
        let seal = shape.seal(&out);
        out.put_slice(&seal);
        out.freeze()
    }

    pub(super) fn decode(shape: &Shape, row: &[u8]) -> Result<Self, IndexError> {
        let short = IndexError::Corrupt("the row of the state is cut short");
        let Some((mut row, seal)) = row.split_last_chunk() else {
            return Err(short);
        };
        let intact = shape.seal(row) == *seal;
        let mut take =
            |len: usize| row.split_off(..len).ok_or(IndexError::Corrupt("the row of the state is cut short"));
        if take(1)? != [VERSION] {
            return Err(IndexError::Corrupt("the layout has another version"));
        }
        if take(8)? != shape.check() {
            return Err(IndexError::Corrupt("the set was kept under another key"));
        }
        if take(4)? != (shape.len as u32).to_be_bytes() {
            return Err(IndexError::Corrupt("the set was kept with another number of symbols"));
        }
        if !intact {
            return Err(IndexError::Corrupt("the row of the state is damaged"));
        }
        let turn = u64::from_be_bytes(take(8)?.first_chunk().copied().unwrap_or_default());
        let total = decode_sum(take(SUM_LEN)?)?;
        let accumulator = LtHash::from_bytes(take(LtHash::LEN)?.first_chunk().ok_or(short)?);
        let hot = Symbol::all_from_bytes(take(shape.len.min(PAGE) * Symbol::LEN)?)?;
        let pending = row.chunks(Op::LEN).map(decode_op).collect::<Result<Vec<Op>, _>>()?;
        let waiting = turn.min(shape.pages().saturating_sub(1));
        if pending.len() as u64 != waiting {
            return Err(IndexError::Corrupt("the row of the state has another number of changes"));
        }
        Ok(Self { total, accumulator, turn, hot, pending })
    }

    /// Takes in a change, in all but the pages.
    pub(super) fn change(&mut self, shape: &Shape, id: &ItemId, item: Fingerprint, removed: bool) -> Op {
        let op = Op { part: id.part(), removed };
        if removed {
            self.total -= item;
            self.accumulator.remove(&shape.key, id);
        } else {
            self.total += item;
            self.accumulator.add(&shape.key, id);
        }
        let (symbol, seed) = shape.symbols.hash(&op.part);
        let mut mapping = Mapping::new(seed);
        while let Some(hot) = self.hot.get_mut(mapping.peek()) {
            op.apply(hot, &symbol);
            mapping.advance();
        }
        op
    }

    /// Ends a series of changes, of which these were the operations. Gives the pages whose turn it is, as they are now;
    /// `read` gives the rows as they were.
    pub(super) fn turn(
        &mut self,
        shape: &Shape,
        ops: Vec<Op>,
        mut read: impl FnMut(u64) -> Result<Option<Bytes>, IndexError>,
    ) -> Result<Vec<(u64, Vec<Symbol>)>, IndexError> {
        let old = self.turn;
        self.turn = old.wrapping_add(ops.len() as u64);
        let first = old - self.pending.len() as u64;
        self.pending.extend(ops);
        let mut due: Vec<Option<Vec<Symbol>>> = Vec::new();
        for page in 0..shape.pages() {
            let is_due = shape.written_at(page, self.turn) > old;
            due.push(if is_due { Some(shape.decode_page(page, read(page)?)?) } else { None });
        }
        for (op, number) in self.pending.iter().zip(first + 1..) {
            for_each_cold(shape, op, |at, symbol| {
                let page = Shape::page_of(at);
                let news = shape.written_at(page, old)..shape.written_at(page, self.turn);
                if let Some(Some(symbols)) = due.get_mut(page as usize)
                    && (news.start < number && number <= news.end)
                    && let Some(to) = symbols.get_mut(at % PAGE)
                {
                    op.apply(to, symbol);
                }
            });
        }
        let waiting = self.turn.min(shape.pages().saturating_sub(1)) as usize;
        self.pending.drain(..self.pending.len() - waiting);
        Ok((0..).zip(due).filter_map(|(page, symbols)| Some((page, symbols?))).collect())
    }

    /// The symbols `from..to`, as far as they are kept.
    pub(super) fn symbols(
        &self,
        shape: &Shape,
        from: usize,
        to: usize,
        mut read: impl FnMut(u64) -> Result<Option<Bytes>, IndexError>,
    ) -> Result<Vec<Symbol>, IndexError> {
        let to = to.min(shape.len);
        if from >= to {
            return Ok(Vec::new());
        }
        // Whole pages first, cut at the end.
        let start = from / PAGE * PAGE;
        let mut symbols = if start == 0 { self.hot.clone() } else { Vec::new() };
        while start + symbols.len() < to {
            let page = Shape::page_of(start + symbols.len());
            symbols.extend(shape.decode_page(page, read(page)?)?);
        }
        if to > PAGE {
            let first = self.turn - self.pending.len() as u64;
            for (op, number) in self.pending.iter().zip(first + 1..) {
                for_each_cold(shape, op, |at, symbol| {
                    if number > shape.written_at(Shape::page_of(at), self.turn)
                        && let Some(to) = at.checked_sub(start).and_then(|at| symbols.get_mut(at))
                    {
                        op.apply(to, symbol);
                    }
                });
            }
        }
        symbols.truncate(to - start);
        Ok(symbols.split_off(from - start))
    }
}

/// Visits the symbols behind the first page that a change is about.
fn for_each_cold(shape: &Shape, op: &Op, mut visit: impl FnMut(usize, &Symbol)) {
    let (symbol, seed) = shape.symbols.hash(&op.part);
    let mut mapping = Mapping::new(seed);
    while mapping.peek() < shape.len {
        if mapping.peek() >= PAGE {
            visit(mapping.peek(), &symbol);
        }
        mapping.advance();
    }
}

fn decode_op(bytes: &[u8]) -> Result<Op, IndexError> {
    match bytes.split_first_chunk() {
        Some((part, [removed @ (0 | 1)])) => Ok(Op { part: IdPart::from_bytes(*part), removed: *removed == 1 }),
        _ => Err(IndexError::Corrupt("a change in the row of the state is not one")),
    }
}
