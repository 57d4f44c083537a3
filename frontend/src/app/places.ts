// What the app remembers in this browser: who the user is, and which documents were opened.
const idForm = /^[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}$/;
const mostRecent = 12;

export interface Recent {
  doc: string;
  at: number;
}

export const validId = (doc: string): boolean => idForm.test(doc);

/** A new id, of 60 random bits. */
export function drawId(): string {
  const letters = 'abcdefghijkmnpqrstuvwxyz23456789';
  return [...crypto.getRandomValues(new Uint8Array(12))].map((b) => letters[b % 32]).join('');
}

function read<T>(key: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(key);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

function write(key: string, value: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing: the app works, and forgets.
  }
}

export const recents = (): Recent[] => read<Recent[]>('weft-recent', []);

export function remember(doc: string): void {
  write('weft-recent', [{ doc, at: Date.now() }, ...recents().filter((r) => r.doc !== doc)].slice(0, mostRecent));
}

/** The user of this browser: another one could not send this one's unsent edits. */
export function user(): { sub: string; name: string } {
  const sub = read('weft-sub', '') || drawId();
  write('weft-sub', sub);
  return { sub, name: read('weft-name', '') || `Guest ${sub.slice(0, 3).toUpperCase()}` };
}

export const rename = (name: string): void => write('weft-name', name);
