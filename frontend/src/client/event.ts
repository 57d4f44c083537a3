// What a document is asked for, and what it tells.
import type Delta from 'quill-delta';
import type { SocketConstructor } from './connection';
import type { DocumentType } from './form';
import type { Role } from './message';
import type { Peer } from './presence';
import type { Storage } from './storage';

export interface Options {
  /** http(s) base of the server; '' is where the page came from. */
  server: string;
  /** The document's id. */
  doc: string;
  /** A valid token. Called before each connection and before a token runs out; may reject while it cannot be had.
   *  Space around it is taken off; what cannot be part of a subprotocol, or has more than 8192 characters, counts as a rejection. */
  token: () => Promise<string> | string;
  /** Of a document that this creates. */
  type?: DocumentType;
  /** Where unsaved edits are kept; IndexedDB where there is one. */
  storage?: Storage;
  /** The user's id, to find edits made offline before a token can be had. Else it is read from the token. */
  user?: string;
  WebSocket?: SocketConstructor;
  fetch?: typeof fetch;
}

export interface ConnectionState {
  connection: 'connecting' | 'open' | 'offline' | 'closed';
  /** 'saved': the server has everything. 'saving': some is on its way. 'unsaved': some is, and cannot go now. */
  saved: 'saved' | 'saving' | 'unsaved';
  role: Role | null;
  canWrite: boolean;
  /** Whether unsaved edits outlive the page. */
  durable: boolean;
  error?: { code: string; msg: string; final: boolean };
  /** The text of edits that cannot be saved, for the user to copy. */
  unsentText?: string;
}

export interface Events {
  /** To be applied to the view, which has what content was before it. */
  change: (delta: Delta, source: 'remote') => void;
  /** The view is to be set anew. */
  reset: (content: Delta) => void;
  state: (s: ConnectionState) => void;
  peers: (peers: Peer[]) => void;
}

/** Calls listeners in the order in which they came. */
export class Emitter {
  private readonly listeners: { [E in keyof Events]: Set<Events[E]> } = { change: new Set(), reset: new Set(), state: new Set(), peers: new Set() };

  /** The result takes the listener away again. */
  on<E extends keyof Events>(event: E, listener: Events[E]): () => void {
    this.listeners[event].add(listener);
    return () => this.off(event, listener);
  }

  off<E extends keyof Events>(event: E, listener: Events[E]): void {
    this.listeners[event].delete(listener);
  }

  protected emit<E extends keyof Events>(event: E, ...args: Parameters<Events[E]>): void {
    for (const listener of [...this.listeners[event]]) (listener as (...a: Parameters<Events[E]>) => void)(...args);
  }
}
