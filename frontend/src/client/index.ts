// The client library of Weft: everything that a page or a bot needs to take part in a document.
export { connect, WeftDocument } from './document';
export type { ConnectionState, Events, Options } from './event';
export type { SocketConstructor } from './connection';
export type { DocumentType } from './form';
export type { Role } from './message';
export type { Cursor, Peer, User } from './presence';
export { IndexedStorage, MemoryStorage, type Storage } from './storage';
