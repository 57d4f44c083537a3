// Where a replica is kept over reloads: IndexedDB, one record a client, and a lock on each client id that a tab uses.
import type { DocumentType } from './form';
import { fromWire } from './form';
import type { Origin, State } from './state';

/** Whose replica of which document on which server. */
export interface Place {
  server: string;
  doc: string;
  user: string;
}

/** A stored replica. */
export interface Kept extends Place {
  client: string;
  type: DocumentType;
  v: number;
  last: Origin | null;
  content: unknown;
  seq: number;
  inFlight: unknown;
  buffer: unknown;
  held: unknown;
  former: Origin | null;
  ghosts: readonly Origin[];
  /** Text that the server refused and that the user has not seen to yet. */
  refused?: string;
  /** The role that was last told, for work offline. */
  role?: string;
}

/** Keeps replicas. All methods may reject; what was put is durable when put resolves. */
export interface Storage {
  /** False where nothing outlives the page: the user should know. */
  readonly durable: boolean;
  list(place: Place): Promise<Kept[]>;
  /** replaces: a client whose record goes in the same step, so that its edits are never there twice. */
  put(kept: Kept, replaces?: string): Promise<void>;
  remove(place: Place, client: string): Promise<void>;
  /** Takes the lock on a client id without waiting. Null: another tab has it. Call the result to give it back. */
  lock(place: Place, client: string): Promise<(() => void) | null>;
}

export function keep(place: Place, s: State, besides: Pick<Kept, 'refused' | 'role'> = {}): Kept {
  const ops = (d: State['buffer']) => d?.ops ?? null;
  return {
    ...place,
    client: s.client,
    type: s.type,
    v: s.v,
    last: s.last,
    content: s.content.ops,
    seq: s.seq,
    inFlight: ops(s.inFlight),
    buffer: ops(s.buffer),
    held: ops(s.held),
    former: s.former,
    ghosts: s.ghosts,
    ...besides,
  };
}

export function restore(k: Kept): State {
  const delta = (ops: unknown) => (ops ? fromWire(ops) : null);
  return {
    client: k.client,
    type: k.type,
    v: k.v,
    last: k.last,
    content: fromWire(k.content),
    seq: k.seq,
    inFlight: delta(k.inFlight),
    buffer: delta(k.buffer),
    held: delta(k.held),
    former: k.former,
    ghosts: k.ghosts,
  };
}

/** Whether a record holds something that would be lost with it. */
export function hasUnsaved(k: Kept): boolean {
  return Boolean(k.inFlight ?? k.buffer ?? k.held) || k.refused !== undefined;
}

const nameOf = (p: Place, client: string) => JSON.stringify(['weft', p.server, p.doc, p.user, client]);

/** Locks within one page, for where there are no Web Locks. */
const taken = new Set<string>();

function lockHere(name: string): (() => void) | null {
  if (taken.has(name)) return null;
  taken.add(name);
  return () => void taken.delete(name);
}

/** For servers, tests and private windows: kept as long as the object is. */
export class MemoryStorage implements Storage {
  readonly durable = false;
  private readonly records = new Map<string, Kept>();

  async list(place: Place): Promise<Kept[]> {
    return [...this.records.values()].filter((k) => k.server === place.server && k.doc === place.doc && k.user === place.user);
  }

  async put(kept: Kept, replaces?: string): Promise<void> {
    if (replaces) this.records.delete(nameOf(kept, replaces));
    this.records.set(nameOf(kept, kept.client), structuredClone(kept));
  }

  async remove(place: Place, client: string): Promise<void> {
    this.records.delete(nameOf(place, client));
  }

  async lock(place: Place, client: string): Promise<(() => void) | null> {
    return lockHere(nameOf(place, client));
  }
}

/** In the browser's IndexedDB. A record of another version of the page is never made unreadable: add fields only. */
export class IndexedStorage implements Storage {
  readonly durable = true;

  private constructor(private readonly db: IDBDatabase) {}

  /** Rejects where the browser has no IndexedDB or does not open it (some private windows). */
  static async open(name = 'weft'): Promise<IndexedStorage> {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () => {
      const store = opening.result.createObjectStore('replicas', { keyPath: ['server', 'doc', 'user', 'client'] });
      store.createIndex('place', ['server', 'doc', 'user']);
    };
    const db = await settled(opening);
    db.onversionchange = () => db.close();
    return new IndexedStorage(db);
  }

  async list(p: Place): Promise<Kept[]> {
    const place = this.db.transaction('replicas').objectStore('replicas').index('place');
    return (await settled(place.getAll([p.server, p.doc, p.user]))) as Kept[];
  }

  async put(kept: Kept, replaces?: string): Promise<void> {
    await this.write((store) => {
      if (replaces) store.delete([kept.server, kept.doc, kept.user, replaces]);
      store.put(kept);
    });
  }

  async remove(p: Place, client: string): Promise<void> {
    await this.write((store) => store.delete([p.server, p.doc, p.user, client]));
  }

  /** Ends the connection to the database; for tests, pages need not. */
  end(): void {
    this.db.close();
  }

  private write(what: (store: IDBObjectStore) => unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      // Strict: a crash of the machine right after sending must not make this client reuse a seq.
      const transaction = this.db.transaction('replicas', 'readwrite', { durability: 'strict' });
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error('the browser did not store the edit'));
      what(transaction.objectStore('replicas'));
    });
  }

  async lock(p: Place, client: string): Promise<(() => void) | null> {
    const name = nameOf(p, client);
    const locks = (globalThis.navigator as Navigator | undefined)?.locks;
    if (!locks) return lockHere(name);
    return new Promise((resolve, reject) => {
      locks
        .request(name, { ifAvailable: true }, (lock) => {
          if (!lock) return resolve(null);
          return new Promise<void>((release) => resolve(() => release()));
        })
        .catch(reject);
    });
  }
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB does not answer'));
  });
}

/** IndexedDB where there is one, memory elsewhere. */
export async function openStorage(): Promise<Storage> {
  if (!('indexedDB' in globalThis)) return new MemoryStorage();
  return IndexedStorage.open().catch(() => new MemoryStorage());
}

/** A replica to go on with, and the lock on it. */
export interface Adopted {
  kept: Kept;
  release: () => void;
}

/**
 * Takes over what a tab that is gone left behind: first replicas with unsaved edits, else the newest content, which
 * spares a download. Others without edits are removed. Null where nothing is left, or other tabs hold all of it.
 */
export async function adopt(storage: Storage, place: Place): Promise<Adopted | null> {
  const all = (await storage.list(place)).sort((a, b) => Number(hasUnsaved(b)) - Number(hasUnsaved(a)) || b.v - a.v);
  let found: Adopted | null = null;
  for (const { client } of all) {
    const release = await storage.lock(place, client);
    if (!release) continue;
    // Read again: between listing and locking its tab may have written.
    const kept = (await storage.list(place)).find((k) => k.client === client);
    if (kept && !found) {
      found = { kept, release };
      continue;
    }
    if (kept && !hasUnsaved(kept)) await storage.remove(place, client);
    release();
  }
  return found;
}
