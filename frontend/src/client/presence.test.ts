import Delta from 'quill-delta';
import { expect, test } from 'vitest';
import { carryAll, inView, positionBefore, toServer, update } from './presence';
import { born } from './state';

const ada = { s: 'S1', user: { id: 'ada' }, cursor: { index: 2, length: 0 } };

test('a cursor goes behind what its own user inserts at its place, and stays before what others insert', () => {
  const peers = update(new Map(), [ada]);
  const d = new Delta().retain(2).insert('xy');
  expect(carryAll(peers, { u: 'ada' }, d).get('S1')?.cursor).toEqual({ index: 4, length: 0 });
  expect(carryAll(peers, { u: 'bob' }, d).get('S1')?.cursor).toEqual({ index: 2, length: 0 });
});

test('a peer keeps what is not told anew, and goes when it left', () => {
  const peers = update(update(new Map(), [{ ...ada, state: 1 }]), [{ s: 'S1', cursor: null }]);
  expect(peers.get('S1')).toEqual({ session: 'S1', user: { id: 'ada' }, cursor: null, state: 1 });
  expect(update(peers, [{ s: 'S1', left: true }]).size).toBe(0);
});

test('cursors are seen over unsent edits, and told without them', () => {
  const s = {
    ...born('me00000000000000', 'rich'),
    content: new Delta().insert('abcdef\n'),
    inFlight: new Delta().insert('12'),
    buffer: new Delta().retain(4).delete(1),
  };
  const [peer] = inView(update(new Map(), [{ ...ada, cursor: { index: 4, length: 1 } }]), s);
  expect(peer?.cursor).toEqual({ index: 5, length: 1 });
  expect(toServer({ index: 5, length: 1 }, s)).toEqual({ index: 4, length: 1 });
});

test.each([
  ['inside an insert', new Delta().retain(2).insert('xyz'), 4, 2],
  ['behind an insert', new Delta().retain(2).insert('xyz'), 6, 3],
  ['behind a deletion', new Delta().retain(1).delete(3), 2, 5],
  ['in text that stays', new Delta().retain(3).insert('x'), 1, 1],
])('the position before an edit: %s', (_, d, after, before) => {
  expect(positionBefore(d, after)).toBe(before);
});
