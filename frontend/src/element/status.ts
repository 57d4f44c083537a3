// What the editor says of itself: the truth, in a few words.
import type { ConnectionState } from '../client';

export interface Status {
  kind: 'good' | 'busy' | 'away' | 'bad';
  text: string;
}

const finals: Record<string, string> = {
  forbidden: 'You no longer have access to this document',
  not_found: 'There is no such document',
  deleted: 'This document was deleted',
  token_expired: 'Signed out',
  bad_token: 'Signed out',
};

export function statusOf(s: ConnectionState): Status {
  if (s.error?.final) return { kind: 'bad', text: finals[s.error.code] ?? s.error.msg };
  const kept = s.durable ? 'your edits are kept on this device' : 'do not close this page, or your edits are lost';
  if (s.connection !== 'open') {
    if (s.saved !== 'saved') return { kind: s.durable ? 'away' : 'bad', text: `Not saved yet – ${kept}` };
    return { kind: 'away', text: s.connection === 'connecting' ? 'Connecting…' : s.connection === 'closed' ? 'Closed' : 'Offline' };
  }
  if (s.error) return { kind: 'bad', text: s.error.msg };
  if (s.saved === 'saving') return { kind: 'busy', text: 'Saving…' };
  if (s.saved === 'unsaved') return { kind: 'bad', text: `Not saved – ${kept}` };
  return s.canWrite ? { kind: 'good', text: 'Saved' } : { kind: 'good', text: 'Read only' };
}
