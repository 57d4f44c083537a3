// A connection that comes back: one WebSocket after another, and the policy of when to open the next.
import type { ClientMessage, Failure, ServerMessage } from './message';

/** What to do after a connection ended. */
export type Verdict =
  | { then: 'retry' } // after retry_ms or the back-off
  | { then: 'token' } // with a new token
  | { then: 'startOver'; sameLineage: boolean } // with a new client id
  | { then: 'reform' } // where it refuses an operation: start over, and never send the same bytes again; else come again
  | { then: 'stop' }; // keep the edits for copying

/** The policy for a close code and the error code that came before it, if any. */
export function verdictOn(close: number, code?: string): Verdict {
  switch (close) {
    case 4401:
      return { then: 'token' };
    case 4409:
      return { then: 'startOver', sameLineage: code === 'replaced' || code === 'client_taken' };
    case 4403:
    case 4410:
      return { then: 'stop' };
    case 1003:
    case 1007:
    case 1009:
    case 4400:
      return { then: 'reform' };
    default: // 1000 by a proxy, 1001, 1006, 1011, 1012, 1013
      return { then: 'retry' };
  }
}

/** The policy for the status of HEAD, which tells what a browser hides about a handshake that failed. */
export function verdictOnStatus(status: number): Verdict {
  if (status === 401) return { then: 'token' };
  return { then: [400, 403, 404, 410].includes(status) ? 'stop' : 'retry' };
}

/** Milliseconds before attempt n (0 is the first after a loss): jittered, from 1 s to 30 s. */
export function backoff(n: number, random = Math.random()): number {
  return 1000 + random * (Math.min(30_000, 2000 * 2 ** Math.min(n, 10)) - 1000);
}

/** The part of a WebSocket that is used; Node's `ws` has it too. */
export interface Socket {
  onopen: ((e: never) => void) | null;
  onmessage: ((e: never) => void) | null;
  onclose: ((e: never) => void) | null;
  onerror: ((e: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export type SocketConstructor = new (url: string, protocols?: string[]) => Socket;

export interface ConnectionOptions {
  /** http(s) or ws(s) base; '' is the page's own. */
  server: string;
  doc: string;
  token: () => Promise<string> | string;
  WebSocket: SocketConstructor;
  fetch: typeof fetch;
  /** Called when a socket is open: the first message to send. */
  hello: () => ClientMessage;
  receive: (m: ServerMessage) => void;
  /** The connection ended, and what the protocol says to do. 'retry' and 'token' are under way already; after others there may be again. */
  down: (verdict: Verdict, why: Failure | null) => void;
  status: (s: 'connecting' | 'open' | 'offline') => void;
}

const pingEvery = 5000;
const pongWithin = 5000;
const openWithin = 15_000;
const welcomeWithin = 30_000; // since the last frame: a slow store is no dead connection
const tokenForm = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,8192}$/; // a token of RFC 7230, as part of a subprotocol has to be
const closeReasons: Record<number, string> = { 4400: 'bad_op', 4401: 'token_expired', 4403: 'forbidden', 4410: 'deleted', 1009: 'too_large' };

const messageOf = (e: unknown): string => (e instanceof Error ? e.message : String(e));

export class Connection {
  private socket: Socket | null = null;
  private welcomed = false; // nothing but hello may be sent before
  private attempts = 0;
  private refusals = 0; // in a row; a welcome does not end them, so that the back-off grows
  private failure: Failure | null = null;
  private waiting: ReturnType<typeof setTimeout> | undefined;
  private pinging: ReturnType<typeof setTimeout> | undefined;
  private renewing: ReturnType<typeof setTimeout> | undefined;
  private generation = 0;
  private stopped = true;
  private lastToken = '';

  constructor(private readonly o: ConnectionOptions) {}

  /** Opens now, unless it is open or opening. */
  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    globalThis.addEventListener?.('online', this.hurry);
    globalThis.addEventListener?.('offline', this.offline);
    globalThis.document?.addEventListener('visibilitychange', this.hurry);
    void this.open();
  }

  /** Says goodbye with 1000. start may be called again. */
  stop(): void {
    this.stopped = true;
    clearTimeout(this.waiting);
    globalThis.removeEventListener?.('online', this.hurry);
    globalThis.removeEventListener?.('offline', this.offline);
    globalThis.document?.removeEventListener('visibilitychange', this.hurry);
    this.leave();
  }

  /** Drops the socket and opens another after the back-off, with a new hello. */
  again(): void {
    this.leave();
    this.later();
  }

  /** False where there is no open socket, or the server has not welcomed it yet. */
  send(m: ClientMessage): boolean {
    if (!this.socket || (!this.welcomed && m.t !== 'hello')) return false;
    this.socket.send(JSON.stringify(m));
    return true;
  }

  /** The session stands: the back-off begins anew at the next loss. */
  settled(expiresInMs?: number): void {
    this.attempts = 0;
    this.failure = null;
    this.renewBefore(expiresInMs);
  }

  /** Gets a new token before the present one, which lasts for ms more, runs out. */
  renewBefore(ms?: number): void {
    clearTimeout(this.renewing);
    if (ms === undefined) return;
    const generation = this.generation;
    const wait = Math.min(Math.max(ms - Math.max(30_000, ms * 0.2), ms * 0.5), 2 ** 31 - 1);
    this.renewing = setTimeout(() => void this.renew(generation, ms - wait), wait);
  }

  private async renew(generation: number, left: number): Promise<void> {
    const token = await this.token().catch(() => this.lastToken);
    if (generation !== this.generation) return;
    if (token !== this.lastToken && this.send({ t: 'token', token })) this.lastToken = token;
    else if (left > 2000) this.renewBefore(left);
  }

  private readonly hurry = (): void => {
    if (this.stopped || globalThis.document?.visibilityState === 'hidden') return;
    if (this.welcomed) this.ping();
    else if (this.waiting !== undefined) {
      clearTimeout(this.waiting);
      void this.open();
    }
  };

  private readonly offline = (): void => {
    if (this.stopped || !this.socket) return;
    this.leave();
    this.o.down({ then: 'retry' }, null);
    this.later();
  };

  private url(scheme: 'http' | 'ws'): string {
    const base = new URL(this.o.server || '.', globalThis.location?.href ?? 'http://localhost');
    const root = this.o.server ? base.href.replace(/\/+$/, '') : base.origin;
    const path = `/v1/docs/${encodeURIComponent(this.o.doc)}`;
    return scheme === 'ws' ? `${root.replace(/^http/, 'ws')}${path}/ws` : `${root.replace(/^ws/, 'http')}${path}`;
  }

  private async open(): Promise<void> {
    this.waiting = undefined;
    const generation = ++this.generation;
    this.o.status('connecting');
    const current = () => generation === this.generation && !this.stopped;
    let token: string;
    try {
      token = await this.token();
    } catch (e) {
      if (current()) this.unopened({ code: 'no_token', msg: `no token: ${messageOf(e)}` });
      return;
    }
    if (!current()) return;
    this.lastToken = token;
    this.failure = null;
    let socket: Socket;
    try {
      socket = new this.o.WebSocket(this.url('ws'), ['weft.v1', `weft.bearer.${token}`]);
    } catch (e) {
      return this.unopened({ code: 'no_socket', msg: `no WebSocket can be made: ${messageOf(e)}` });
    }
    let opened = false;
    const closing = setTimeout(() => current() && !opened && void this.closed(1006, '', false), openWithin);
    socket.onopen = () => {
      if (!current()) return socket.close(1000);
      opened = true;
      clearTimeout(closing);
      this.socket = socket;
      this.watch();
      this.send(this.o.hello());
    };
    socket.onmessage = (e: { data: unknown }) => current() && this.take(e.data);
    socket.onclose = (e: { code: number; reason: string }) => {
      clearTimeout(closing);
      if (current()) void this.closed(e.code, e.reason, opened);
    };
    socket.onerror = () => undefined; // a close follows
  }

  /** What the provider gives, trimmed. Rejects where that is no token, as if the provider had. */
  private async token(): Promise<string> {
    const given: unknown = await this.o.token();
    const token = typeof given === 'string' ? given.trim() : '';
    if (!tokenForm.test(token)) throw new Error("the page's tokenProvider gave none that can be used");
    return token;
  }

  /** There is not even a socket: another may come of another token. */
  private unopened(why: Failure): void {
    this.later();
    this.o.down({ then: 'token' }, why);
  }

  private take(data: unknown): void {
    let m: ServerMessage;
    try {
      m = JSON.parse(String(data)) as ServerMessage;
    } catch {
      return this.again();
    }
    this.failure = m.t === 'error' || m.t === 'bye' ? m : null; // one after which something comes ended nothing
    if (m.t === 'welcome') this.welcomed = true;
    this.watch();
    if (m.t === 'welcome') this.o.status('open');
    this.o.receive(m);
  }

  private async closed(code: number, reason: string, opened: boolean): Promise<void> {
    const generation = this.generation;
    this.leave();
    let verdict = verdictOn(code, this.failure?.code ?? reason);
    let why = this.failure ?? (closeReasons[code] ? { code: closeReasons[code], msg: reason || `the server closed with ${code}` } : null);
    if (!opened) {
      const head = await this.head();
      if (generation + 1 !== this.generation || this.stopped) return;
      if (head) {
        verdict = verdictOnStatus(head.status);
        why = head.why;
      }
    }
    this.refusals = verdict.then === 'reform' ? this.refusals + 1 : 0;
    if (verdict.then === 'retry' || verdict.then === 'token') this.later(why?.retry_ms);
    this.o.down(verdict, why);
  }

  /** Why a handshake failed; null where not even that is answered. */
  private async head(): Promise<{ status: number; why: Failure | null } | null> {
    try {
      const headers = { Authorization: `Bearer ${this.lastToken}` };
      const {
        status,
        headers: h,
        ok,
      } = await this.o.fetch(this.url('http'), { method: 'HEAD', headers, cache: 'no-store', signal: AbortSignal.timeout(10_000) });
      if (ok) return { status, why: null };
      const codes: Record<number, string> = { 400: 'bad_message', 401: 'bad_token', 403: 'forbidden', 404: 'not_found', 410: 'deleted', 429: 'rate_limited' };
      const seconds = Number(h.get('Retry-After'));
      const why: Failure = { code: codes[status] ?? 'unavailable', msg: `the server answered with ${status}` };
      if (seconds > 0) why.retry_ms = seconds * 1000;
      return { status, why };
    } catch {
      return null;
    }
  }

  /** Leaves the present socket without waiting for it: a half-open one would take minutes to close. */
  private leave(): void {
    this.generation++;
    this.welcomed = false;
    clearTimeout(this.pinging);
    clearTimeout(this.renewing);
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    try {
      socket.close(1000);
    } catch {
      // it is closed already
    }
  }

  private later(retryMs?: number): void {
    if (this.stopped) return;
    clearTimeout(this.waiting);
    const wait = retryMs ? retryMs * (1 + Math.random() * 0.2) : backoff(Math.max(this.attempts, this.refusals - 1));
    this.attempts++;
    this.o.status('offline');
    this.waiting = setTimeout(() => void this.open(), wait);
  }

  /** Something came, or hello went: the next ping is due when nothing comes for a while. Before the welcome there are none, only an end of patience. */
  private watch(): void {
    clearTimeout(this.pinging);
    if (this.welcomed) this.pinging = setTimeout(() => this.ping(), pingEvery);
    else this.expect(welcomeWithin);
  }

  private ping(): void {
    clearTimeout(this.pinging);
    this.send({ t: 'ping' });
    this.expect(pongWithin);
  }

  /** Takes the connection for half-open where nothing comes in time. */
  private expect(within: number): void {
    const generation = this.generation;
    this.pinging = setTimeout(() => generation === this.generation && void this.closed(1006, '', true), within);
  }
}
