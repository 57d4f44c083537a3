// A document that several people edit: the replica, its storage and its connection, behind events.
import Delta from 'quill-delta';
import { Connection, type Verdict } from './connection';
import { type ConnectionState, Emitter, type Options } from './event';
import { apply, type DocumentType, fromWire, newborn } from './form';
import type { Failure, Limits, Role, ServerMessage, Welcome } from './message';
import { carry, carryAll, type Cursor, inView, type Peer, type Peers, toServer, update, type User } from './presence';
import * as replica from './state';
import { adopt, keep, MemoryStorage, openStorage, type Place, restore, type Storage } from './storage';

const presenceEvery = 60;
const messageEnvelope = 256; // bytes of an op message around its delta
const unopened = new Set<string | undefined>(['no_token', 'no_socket']); // codes of the client's own
const strikesAllowed = 2; // refusals in a row: one to set the edit on top anew, one to go on without it

/** Joins a document. Events come in later tasks, never before this returns. */
export function connect(options: Options): WeftDocument {
  return new WeftDocument(options);
}

export class WeftDocument extends Emitter {
  /** What the user should see: the server's content with the unsaved edits on top. */
  content: Delta;
  peers: Peer[] = [];
  user: User | null = null;
  session: string | null = null;
  state: ConnectionState = { connection: 'connecting', saved: 'saved', role: null, canWrite: false, durable: false };

  private readonly connection: Connection;
  private s: replica.State;
  private storage: Storage = new MemoryStorage();
  private place: Place;
  private release: (() => void) | null = null;
  private known: Peers = new Map();
  private ready = false; // there is a content
  private greeted = false; // this connection was welcomed
  private closed = false;
  private stopped = false; // for good: nothing will be saved
  private strikes = 0;
  private refusal: Failure | null = null; // the last that counted as a strike
  private sent = 0; // the seq of the last operation that went out in this session, 0 for none
  private refusedBytes: string | null = null; // of an operation, as JSON: never to be sent again
  private reforming = false;
  private refusedSize = false;
  private refused: string | undefined;
  private limits: Pick<Limits, 'message' | 'components'> = { message: 1 << 20 };
  private replaces: string | undefined;
  private writing: Promise<void> | null = null;
  private dirty = false;
  private starting: Promise<void>;
  private cursor: Cursor | null = null;
  private own: unknown;
  private presence: ReturnType<typeof setTimeout> | undefined;
  private resending: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly o: Options) {
    super();
    this.place = { server: o.server, doc: o.doc, user: o.user ?? '' };
    this.s = replica.born(replica.drawClient(), o.type ?? 'rich');
    this.content = newborn(this.s.type);
    this.connection = new Connection({
      server: o.server,
      doc: o.doc,
      token: o.token,
      WebSocket: o.WebSocket ?? globalThis.WebSocket,
      fetch: o.fetch ?? globalThis.fetch.bind(globalThis),
      hello: () => this.hello(),
      receive: (m) => this.receive(m),
      down: (verdict, why) => this.down(verdict, why),
      status: (connection) => {
        this.greeted &&= connection === 'open';
        this.tell({ connection });
      },
    });
    this.starting = this.begin();
  }

  /** What the document holds; of one that is not loaded yet, what was asked for. */
  get type(): DocumentType {
    return this.s.type;
  }

  /** A local edit on content. Throws where the role or the connection's end does not allow it; content stays. */
  edit(delta: Delta): void {
    if (!this.state.canWrite) throw new Error('the document cannot be edited: ' + (this.state.error?.msg ?? 'the role does not allow it'));
    const step = replica.edit(this.s, delta);
    this.s = step.state;
    this.content = apply(this.content, delta);
    if (this.content.ops.some((op) => op.insert === undefined))
      this.content = this.content.filter((op) => op.insert !== undefined).reduce((d, op) => d.push(op), new Delta()); // what reached past the end
    this.cursor = carry(this.cursor, delta, false);
    if (this.refusedSize) void this.startOver(true); // a smaller edit may fit
    this.changed(step.view);
    void this.save();
    this.flush();
  }

  /** Where the user is, in content; null: nowhere. Told to others a few times a second. */
  setCursor(cursor: Cursor | null): void {
    this.cursor = cursor;
    this.announce();
  }

  /** The application's own presence, at most limits.presence bytes of JSON. */
  setState(state: unknown): void {
    this.own = state;
    this.announce();
  }

  /** The user has seen to state.unsentText of refused edits: it is no longer kept. */
  dismiss(): void {
    this.refused = undefined;
    this.tell({});
    void this.save();
  }

  /** Ends the connection; what is unsaved stays stored on this device. Resolves when that is done. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.presence);
    clearTimeout(this.resending);
    this.connection.stop();
    await this.starting;
    await this.save();
    this.release?.();
    this.release = null;
    this.tell({ connection: 'closed', canWrite: false });
  }

  private async begin(): Promise<void> {
    try {
      this.storage = this.o.storage ?? (await openStorage());
      this.place.user ||= await this.subject();
      if (this.closed) return;
      const adopted = await adopt(this.storage, this.place);
      if (adopted) {
        this.release = adopted.release;
        this.s = restore(adopted.kept);
        this.refused = adopted.kept.refused;
        const role = (adopted.kept.role as Role | undefined) ?? null;
        if (this.s.v >= 0) this.loaded(role);
      } else this.release = await this.storage.lock(this.place, this.s.client);
    } catch {
      this.storage = new MemoryStorage();
      this.s = replica.born(replica.drawClient(), this.o.type ?? 'rich');
    }
    if (this.closed) return;
    this.tell({ durable: this.storage.durable });
    this.connection.start();
  }

  /** The user of the token. Not verified: it only names a place in the user's own storage. */
  private async subject(): Promise<string> {
    try {
      const payload = (await this.o.token()).split('.')[1] ?? '';
      const bytes = Uint8Array.from(atob(payload.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
      const { sub } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown };
      return typeof sub === 'string' ? sub : '';
    } catch {
      return '';
    }
  }

  /** The token did not tell whose edits these are; the server does, before there can be any. */
  private async settleIn(user: string): Promise<void> {
    this.place = { ...this.place, user };
    const release = await this.storage.lock(this.place, this.s.client).catch(() => null);
    this.release?.();
    this.release = release;
    if (this.closed) release?.();
  }

  private loaded(role: Role | null): void {
    this.ready = true;
    this.content = replica.view(this.s);
    this.tell({ role, canWrite: this.mayWrite(role) });
    this.emit('reset', this.content);
  }

  private mayWrite(role: Role | null): boolean {
    return this.ready && !this.stopped && !this.closed && (role === 'write' || role === 'manage');
  }

  private hello() {
    this.sent = 0;
    const { client, v, last, type } = this.s;
    const known = v === 0 ? { v } : v > 0 && last ? { v, last } : {};
    return { t: 'hello' as const, client, ...known, ...(this.o.type ? { type } : {}) };
  }

  private receive(m: ServerMessage): void {
    switch (m.t) {
      case 'welcome':
        return this.welcomed(m);
      case 'ops':
        return this.operations(m);
      case 'presence':
        if (m.v === this.s.v) this.known = update(this.known, m.peers);
        return this.showPeers();
      case 'role':
        this.connection.renewBefore(m.expires_in_ms);
        this.tell({ role: m.role, canWrite: this.mayWrite(m.role) });
        return this.resend();
      case 'error':
        return this.failed(m);
    }
  }

  private welcomed(w: Welcome): void {
    const first = !this.ready;
    const step = replica.welcome(this.s, w);
    this.s = step.state;
    if (step.lost) {
      this.changed(step.view);
      return void this.startOver(true);
    }
    if (this.reforming) this.s = replica.reform(this.s);
    this.reforming = this.refusedSize = false;
    this.greeted = true;
    this.limits = w.limits;
    this.user = w.user;
    if (!this.place.user) void this.settleIn(w.user.id);
    this.session = w.session;
    this.known = update(new Map(), w.peers);
    this.connection.settled(w.expires_in_ms);
    const error = this.strikes > 0 && this.refusal ? { code: this.refusal.code, msg: this.refusal.msg, final: false } : undefined;
    if (first) this.loaded(w.role);
    else this.changed(step.view);
    this.tell({ role: w.role, canWrite: this.mayWrite(w.role), error });
    this.showPeers();
    void this.save();
    this.resend();
    this.announce();
  }

  private operations(m: { v: number; ops: replica.Committed[] }): void {
    if (m.v !== this.s.v) return this.connection.again(); // a hole: ask for what is missing
    let view: Delta | null = null;
    const wasInFlight = this.s.inFlight;
    for (const op of m.ops) {
      const step = replica.receive(this.s, op);
      if (step.lost) {
        this.changed(view);
        return void this.startOver(true);
      }
      this.s = step.state;
      if (step.view) view = view ? view.compose(step.view) : step.view;
      this.known = carryAll(this.known, op, fromWire(op.d));
    }
    if (wasInFlight && !this.s.inFlight) this.acknowledged();
    this.changed(view);
    this.showPeers();
    void this.save();
    this.flush();
  }

  private acknowledged(): void {
    this.strikes = 0;
    this.refusal = null;
    this.refusedBytes = null;
    clearTimeout(this.resending);
    if (this.state.error && !this.state.error.final) this.tell({ error: undefined });
  }

  private failed(m: Failure): void {
    if (m.code === 'rate_limited') {
      clearTimeout(this.resending);
      this.resending = setTimeout(() => this.resend(), m.retry_ms ?? 1000);
      return;
    }
    if (m.code === 'too_large' && m.seq !== undefined && this.isInFlight(m.seq)) this.refusedSize = true; // else it is the presence's
    if (m.code === 'bad_token') this.connection.renewBefore(20_000);
    const canWrite = this.state.canWrite && m.code !== 'forbidden'; // until a role message or a welcome says otherwise
    this.tell({ canWrite, error: { code: m.code, msg: m.msg, final: false } });
  }

  private down(verdict: Verdict, why: Failure | null): void {
    this.greeted = false;
    clearTimeout(this.resending);
    this.known = new Map();
    this.showPeers();
    const final = verdict.then === 'stop';
    if (why && (final || verdict.then === 'reform' || verdict.then === 'token')) this.tell({ error: { code: why.code, msg: why.msg, final } });
    if (verdict.then === 'startOver') void this.startOver(verdict.sameLineage);
    else if (verdict.then === 'reform') {
      if (this.isInFlight(why?.seq)) this.refuse(why);
      else this.connection.again(); // whatever it was, it was not the user's edit
    } else if (final) this.finish();
    else if (verdict.then === 'retry' && unopened.has(this.state.error?.code))
      this.tell({ error: undefined }); // it got further now
    else this.tell({});
  }

  /** Whether the server can mean the operation in flight: this session sent it, and seq, where one is named, is its own. */
  private isInFlight(seq?: number): boolean {
    return this.s.inFlight !== null && !this.s.former && this.sent === this.s.seq && (seq ?? this.sent) === this.sent;
  }

  /** The server will never take these bytes: set the edit on top anew, as other bytes; then go on without it; then stop. */
  private refuse(why: Failure | null): void {
    const error = why ?? { code: 'bad_message', msg: 'the server does not take the edit' };
    this.refusal = error;
    if (this.s.inFlight) this.refusedBytes = JSON.stringify(this.s.inFlight.ops);
    if (++this.strikes === 1) this.reforming = true;
    else this.giveUp(error, this.strikes > strikesAllowed);
    if (this.strikes > strikesAllowed) this.finish();
    else void this.startOver(true);
  }

  /** Goes on without the unsaved edits. The user has their text to copy. */
  private giveUp({ code, msg }: Failure, final = false): void {
    const text = replica.unsavedText(this.s);
    if (text) this.refused = (this.refused ?? '') + text;
    this.s = replica.abandon(this.s);
    this.content = replica.view(this.s);
    this.emit('reset', this.content);
    this.tell({ error: { code, msg, final } });
    void this.save();
  }

  private finish(): void {
    this.stopped = true;
    this.connection.stop();
    void this.save();
    this.tell({ connection: 'closed', canWrite: false });
  }

  private async startOver(sameLineage: boolean): Promise<void> {
    const before = this.s.client;
    const releaseBefore = this.release;
    this.release = null;
    this.greeted = this.refusedSize = false;
    this.s = replica.startOver(this.s, replica.drawClient(), sameLineage);
    this.replaces ??= before;
    this.connection.again();
    this.release = await this.storage.lock(this.place, this.s.client).catch(() => null);
    await this.save();
    releaseBefore?.();
  }

  /** Sends what is in flight again, or else the next. */
  private resend(): void {
    if (this.s.inFlight) void this.transmit();
    else this.flush();
  }

  private flush(): void {
    if (this.greeted && this.state.canWrite) {
      const next = replica.send(this.s, this.limits.message - messageEnvelope, this.limits.components);
      if (this.refusedBytes !== null && next.inFlight && JSON.stringify(next.inFlight.ops) === this.refusedBytes) {
        this.strikes = strikesAllowed;
        this.giveUp(this.refusal ?? { code: 'bad_op', msg: 'the server does not take the edit' });
      } else if (next !== this.s) {
        this.s = next;
        void this.transmit();
      }
    }
    this.tell({});
  }

  /** Stores what is in flight, then sends it, if it still waits to go. */
  private async transmit(): Promise<void> {
    const { client, seq } = this.s;
    const { session } = this;
    await this.save();
    const { v, inFlight } = this.s;
    if (!this.greeted || this.session !== session || this.s.client !== client || this.s.seq !== seq || !inFlight) return;
    if (this.state.canWrite && this.connection.send({ t: 'op', v, seq, d: inFlight.ops })) this.sent = seq;
  }

  /** Whether every edit that is not saved yet is in storage that outlives the page, at this moment: to be asked before the page is left. */
  get kept(): boolean {
    return this.state.saved === 'saved' || (this.storage.durable && !this.dirty && !this.writing);
  }

  /** Stores the replica as it is now or later. What changes while one write is under way goes with the next. */
  private save(): Promise<void> {
    this.dirty = true;
    this.writing ??= this.write().finally(() => (this.writing = null));
    return this.writing;
  }

  private async write(): Promise<void> {
    await this.starting; // the client id is not settled before
    while (this.dirty) {
      this.dirty = false;
      const { replaces, refused } = this;
      const besides = { ...(refused ? { refused } : {}), ...(this.state.role ? { role: this.state.role } : {}) };
      try {
        await this.storage.put(keep(this.place, this.s, besides), replaces);
        if (this.replaces === replaces) this.replaces = undefined;
      } catch {
        this.storage = new MemoryStorage(); // full, or closed by the browser: saving goes on, and the user is told
        this.tell({ durable: false });
        this.dirty = true;
      }
    }
  }

  private changed(view: Delta | null): void {
    if (!view) return;
    this.content = apply(this.content, view);
    this.cursor = carry(this.cursor, view, true);
    this.emit('change', view, 'remote');
  }

  private showPeers(): void {
    const peers = inView(this.known, this.s);
    if (peers.length === 0 && this.peers.length === 0) return;
    this.peers = peers;
    this.emit('peers', peers);
  }

  private announce(): void {
    if (!this.greeted) return;
    this.presence ??= setTimeout(() => {
      this.presence = undefined;
      if (!this.greeted) return;
      const cursor = toServer(this.cursor, this.s);
      this.connection.send({ t: 'presence', v: this.s.v, cursor, ...(this.own === undefined ? {} : { state: this.own }) });
    }, presenceEvery);
  }

  /** Brings state up to date and tells it where it changed. */
  private tell(change: Partial<ConnectionState>): void {
    const next = { ...this.state, ...change };
    const unsaved = replica.isUnsaved(this.s);
    next.saved = !unsaved ? 'saved' : this.greeted && next.canWrite && !this.refusedSize ? 'saving' : 'unsaved';
    const text = (this.refused ?? '') + (!next.canWrite ? replica.unsavedText(this.s) : '');
    if (text) next.unsentText = text;
    else delete next.unsentText;
    if (next.error === undefined) delete next.error;
    if (JSON.stringify(next) === JSON.stringify(this.state)) return;
    this.state = next;
    this.emit('state', next);
  }
}
