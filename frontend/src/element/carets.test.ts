import Delta from 'quill-delta';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Cursor, Peer } from '../client';
import { Carets, nameFor } from './carets';

class FakeCursors {
  at = new Map<string, Cursor | null>();
  flags = new Map<string, boolean>();
  createCursor(id: string): void {
    if (!this.at.has(id)) this.at.set(id, null);
  }
  moveCursor(id: string, range: Cursor | null): void {
    this.at.set(id, range);
  }
  removeCursor(id: string): void {
    this.at.delete(id);
  }
  toggleFlag(id: string, shown: boolean): void {
    this.flags.set(id, shown);
  }
  cursors(): { id: string }[] {
    return [...this.at.keys()].map((id) => ({ id }));
  }
}

const bob = (index: number): Peer => ({ session: 'S1', user: { id: 'bob' }, cursor: { index, length: 0 } });
let cursors: FakeCursors;
let carets: Carets;
const named = () => cursors.flags.get('S1');

beforeEach(() => {
  vi.useFakeTimers();
  cursors = new FakeCursors();
  carets = new Carets(cursors, () => ({ left: 10, right: 20, top: 10, bottom: 30 }));
});
afterEach(() => vi.useRealTimers());

test('a name stands at a caret for a while after its user moved', () => {
  carets.show([bob(5)]);
  expect(named()).toBe(true);
  vi.advanceTimersByTime(nameFor - 1);
  expect(named()).toBe(true);
  vi.advanceTimersByTime(1);
  expect(named()).toBe(false);
  carets.show([bob(5)]);
  expect(named()).toBe(false);
  carets.show([bob(6)]);
  vi.advanceTimersByTime(nameFor / 2);
  carets.show([bob(7)]);
  vi.advanceTimersByTime(nameFor / 2);
  expect(named()).toBe(true);
});

test('a name comes when its user writes, and not when others do', () => {
  carets.show([bob(5)]);
  vi.advanceTimersByTime(nameFor);
  carets.carry(new Delta().insert('mine'), 'user');
  expect(cursors.at.get('S1')).toEqual({ index: 9, length: 0 });
  carets.carry(new Delta().retain(9).insert('mine'), 'user');
  carets.carry(new Delta().insert('cy'), 'remote');
  carets.carry(new Delta().retain(20).delete(2), 'remote');
  carets.show([bob(11)]);
  expect(named()).toBe(false);
  carets.carry(new Delta().retain(10).delete(1), 'remote'); // a backspace
  expect(named()).toBe(true);
  vi.advanceTimersByTime(nameFor);
  carets.carry(new Delta().retain(10).insert('b'), 'remote');
  carets.show([bob(11)]);
  expect(named()).toBe(true);
});

test('a name stands while the pointer is at its caret', () => {
  carets.show([bob(5)]);
  carets.point({ x: 15, y: 20 });
  vi.advanceTimersByTime(nameFor);
  expect(named()).toBe(true);
  carets.point({ x: 25, y: 20 });
  expect(named()).toBe(false);
  carets.point({ x: 15, y: 20 });
  carets.point(null);
  expect(named()).toBe(false);
});

test('the peers are not changed by what the view does with their places', () => {
  const peer = bob(5);
  carets.show([peer]);
  (cursors.at.get('S1') as Cursor).index = 99;
  expect(peer.cursor?.index).toBe(5);
  carets.show([]);
  expect(cursors.at.size).toBe(0);
});
