// The messages of the protocol, as far as a client reads them.
import type { DocumentType } from './form';
import type { Cursor, User, WirePeer } from './presence';
import type { Committed, Origin } from './state';

export interface Limits {
  message: number;
  document: number;
  attributes: number;
  ops_per_s: number;
  presence: number;
  components?: number;
}

export interface Welcome {
  t: 'welcome';
  v: number;
  type: DocumentType;
  doc?: unknown;
  ops?: Committed[];
  session: string;
  role: Role;
  expires_in_ms?: number;
  user: User;
  seq: number;
  last?: Origin | null;
  peers: WirePeer[];
  limits: Limits;
  features: string[];
}

export type Role = 'read' | 'comment' | 'write' | 'manage';

export interface Failure {
  code: string;
  msg: string;
  seq?: number;
  retry_ms?: number;
}

export type ServerMessage =
  | Welcome
  | { t: 'ops'; v: number; ops: Committed[] }
  | { t: 'presence'; v: number; peers: WirePeer[] }
  | { t: 'role'; role: Role; expires_in_ms?: number }
  | ({ t: 'error' } & Failure)
  | ({ t: 'bye' } & Failure)
  | { t: 'pong' };

export type ClientMessage =
  | { t: 'hello'; client: string; v?: number; last?: Origin; type?: DocumentType }
  | { t: 'op'; v: number; seq: number; d: unknown }
  | { t: 'presence'; v: number; cursor: Cursor | null; state?: unknown }
  | { t: 'token'; token: string }
  | { t: 'ping' };
