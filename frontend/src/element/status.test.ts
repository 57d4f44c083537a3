import { expect, test } from 'vitest';
import type { ConnectionState } from '../client';
import { reasonOf, statusOf } from './status';

const offline: ConnectionState = { connection: 'offline', saved: 'saved', role: null, canWrite: false, durable: true };
const noToken = { code: 'no_token', msg: "no token: the page's tokenProvider gave none that can be used", final: false };

test('says that the page gives no token, while it is not connected', () => {
  expect(statusOf({ ...offline, error: noToken })).toEqual({
    kind: 'away',
    text: "Not connected – no token: the page's tokenProvider gave none that can be used",
  });
  expect(statusOf({ ...offline, connection: 'connecting', error: noToken }).text).toContain('no token');
  expect(reasonOf({ ...offline, error: noToken })?.text).toContain('No token: the page');
  expect(statusOf({ ...offline, connection: 'open', error: noToken }).text).not.toContain('Not connected');
});

test('says where unsaved edits are, besides', () => {
  const unsaved = { ...offline, saved: 'unsaved', error: noToken } as const;
  expect(statusOf(unsaved)).toMatchObject({ kind: 'away', text: expect.stringContaining('no token') as string });
  expect(statusOf(unsaved).text).toContain('your edits are kept on this device');
  expect(statusOf({ ...unsaved, durable: false })).toMatchObject({ kind: 'bad', text: expect.stringContaining('do not close this page') as string });
});

test('says why no WebSocket can be made', () => {
  const error = { code: 'no_socket', msg: 'no WebSocket can be made: the address is none', final: false };
  expect(statusOf({ ...offline, error }).text).toContain('the address is none');
});
