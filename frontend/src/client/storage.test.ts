import 'fake-indexeddb/auto';
import Delta from 'quill-delta';
import { expect, test } from 'vitest';
import * as replica from './state';
import { adopt, IndexedStorage, keep, MemoryStorage, restore, type Storage } from './storage';

const place = { server: 'https://weft.example', doc: 'd', user: 'ada' };
let databases = 0;

const kinds: [string, () => Promise<Storage>][] = [
  ['memory', async () => new MemoryStorage()],
  ['IndexedDB', () => IndexedStorage.open(`test ${databases++}`)],
];

function unsaved(): replica.State {
  const s = { ...replica.born(replica.drawClient(), 'rich'), v: 1, last: ['x', 1] as const, content: new Delta().insert('a\n') };
  const sent = replica.send(replica.edit(s, new Delta().insert('1')).state);
  return replica.edit(sent, new Delta().insert('2')).state;
}

test.each(kinds)('%s gives back what was put', async (_, open) => {
  const storage = await open();
  const s = unsaved();
  await storage.put(keep(place, s));
  const [kept] = await storage.list(place);
  expect(kept && restore(kept)).toEqual(s);
  expect(await storage.list({ ...place, user: 'bob' })).toEqual([]);
});

test.each(kinds)('%s puts a replica in the place of the one that it replaces', async (_, open) => {
  const storage = await open();
  const s = unsaved();
  await storage.put(keep(place, s));
  const over = replica.startOver(s, replica.drawClient(), true);
  await storage.put(keep(place, over), s.client);
  expect((await storage.list(place)).map((k) => k.client)).toEqual([over.client]);
});

test.each(kinds)('%s: a new tab takes over the unsaved edits of one that is gone, and a duplicated tab does not', async (_, open) => {
  const storage = await open();
  const s = unsaved();
  const release = await storage.lock(place, s.client);
  await storage.put(keep(place, s));
  expect(await adopt(storage, place), 'while its tab is open').toBeNull();
  release?.();
  const first = await adopt(storage, place);
  expect(first?.kept.client).toBe(s.client);
  expect(await adopt(storage, place), 'by two tabs').toBeNull();
  first?.release();
});

test.each(kinds)('%s: unsaved edits go before a newer content, and contents alone are cleared away', async (_, open) => {
  const storage = await open();
  const s = unsaved();
  const clean = { ...replica.born(replica.drawClient(), 'rich'), v: 9 };
  await storage.put(keep(place, clean));
  await storage.put(keep(place, s));
  const adopted = await adopt(storage, place);
  expect(adopted?.kept.client).toBe(s.client);
  expect((await storage.list(place)).map((k) => k.client)).toEqual([s.client]);
  adopted?.release();
});
