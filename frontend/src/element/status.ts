// What the editor says of itself: the truth, in a few words.
import type { ConnectionState } from '../client';

export interface Status {
  kind: 'good' | 'busy' | 'away' | 'bad';
  text: string;
}

/** What stands in the place of a document that cannot be shown. */
export interface Reason {
  title: string;
  text: string;
}

/** The server does not take the token, and no other has come yet. */
export const signedOut = (s: ConnectionState): boolean => s.connection !== 'open' && s.error?.code === 'bad_token';

/** The page gives no token, or one that no connection can be made with; it is asked again. */
const unconnected = (s: ConnectionState): string | null =>
  s.connection !== 'open' && (s.error?.code === 'no_token' || s.error?.code === 'no_socket') ? s.error.msg : null;

function titleOf(s: ConnectionState): string {
  switch (s.error?.code) {
    case 'forbidden':
      return s.role ? 'You no longer have access to this document' : 'You have no access to this document';
    case 'not_found':
      return 'There is no such document';
    case 'deleted':
      return 'This document was deleted';
    default:
      return 'This document cannot be edited here any more';
  }
}

const advice: Record<string, string> = {
  forbidden: 'Ask whoever sent you here to let you in, or sign in as somebody else.',
  not_found: 'Check the link. Only somebody who may write here can make the document.',
  deleted: 'Its name is not used again.',
};

/** Why there is nothing to show and will be nothing for now; null while the document may still come. */
export function reasonOf(s: ConnectionState): Reason | null {
  if (signedOut(s)) return { title: 'You are signed out', text: 'The server does not take this sign-in: it has run out, or was never good. Sign in again.' };
  const obstacle = unconnected(s);
  if (obstacle) return { title: 'Not connected', text: `${obstacle[0]?.toUpperCase()}${obstacle.slice(1)}. It is tried again by and by.` };
  return s.error?.final ? { title: titleOf(s), text: advice[s.error.code] ?? 'Load the page again to go on.' } : null;
}

export function statusOf(s: ConnectionState): Status {
  const kept = s.durable ? 'your edits are kept on this device' : 'do not close this page, or your edits are lost';
  if (s.error?.final) return { kind: 'bad', text: titleOf(s) };
  if (signedOut(s)) return { kind: 'bad', text: s.saved === 'saved' ? 'Signed out' : `Signed out – ${kept}` };
  const obstacle = unconnected(s);
  if (obstacle && s.saved === 'saved') return { kind: 'away', text: `Not connected – ${obstacle}` };
  if (obstacle) return { kind: s.durable ? 'away' : 'bad', text: `Not saved yet – ${kept} (${obstacle})` };
  if (s.connection !== 'open') {
    if (s.saved !== 'saved') return { kind: s.durable ? 'away' : 'bad', text: `Not saved yet – ${kept}` };
    return { kind: 'away', text: s.connection === 'connecting' ? 'Connecting…' : s.connection === 'closed' ? 'Closed' : 'Offline' };
  }
  if (s.saved === 'saving') return { kind: 'busy', text: 'Saving…' };
  if (s.error) return s.saved === 'saved' ? { kind: 'bad', text: 'Some of it could not be saved' } : { kind: 'bad', text: `Not saved – ${s.error.msg}` };
  if (s.saved === 'unsaved') return { kind: 'bad', text: `Not saved – ${kept}` };
  return s.canWrite ? { kind: 'good', text: 'Saved' } : { kind: 'good', text: 'Read only' };
}
