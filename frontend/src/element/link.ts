// The addresses of links: which may be followed, and what is made of one that is typed.

/** What the user may type. */
const taken = ['http', 'https', 'mailto', 'tel'];
/** What is followed from a document; Quill follows the same. */
const followed = [...taken, 'sms'];

export const placeholder = 'https://example.com';
export const refusal = `This address is not taken. A link starts with ${taken
  .slice(0, -1)
  .map((s) => s + ':')
  .join(', ')} or ${taken.at(-1)}:`;

const email = /^[^\s@/:]+@[^\s@/:]+\.[^\s@/:]+$/;
const host = /^([\p{L}\p{N}-]+\.)+\p{L}{2,}(:\d+)?([/?#]\S*)?$/u;
const hostAndPort = /^(localhost|([\p{L}\p{N}-]+\.)+[\p{L}\p{N}-]+):\d+([/?#]|$)/u; // a host, though it looks like a scheme

function schemeOf(address: string, base?: string): string | null {
  try {
    return new URL(address, base).protocol.slice(0, -1);
  } catch {
    return null;
  }
}

/** Whether a link in a document may be followed. One without a scheme goes to the site of the page. */
export function mayFollow(address: string): boolean {
  return followed.includes(schemeOf(address, 'https://here.invalid') ?? '');
}

/** The address that was typed, complete; null: it is none that is taken. */
export function addressOf(typed: string): string | null {
  const text = typed.replace(/[\t\n\r]/g, '').trim(); // browsers ignore these, so they could hide a scheme
  if (!text || /\s/.test(text)) return null;
  const given = hostAndPort.test(text) ? null : /^[a-z][a-z\d+.-]*(?=:)/i.exec(text);
  const address = given ? text : email.test(text) ? `mailto:${text}` : `https://${text.replace(/^\/\//, '')}`;
  if (!given && /^[/?#.]/.test(address.slice('https://'.length))) return null; // a place on this site, which others may see elsewhere
  return taken.includes(schemeOf(address) ?? '') ? address : null;
}

/** What the field begins with when a text is selected: the text, if it is an address. */
export function addressIn(selected: string): string {
  const text = selected.trim();
  if (email.test(text)) return `mailto:${text}`;
  return host.test(text) || (/^(https?:\/\/|mailto:|tel:)\S/i.test(text) && addressOf(text)) ? text : '';
}
