// The field of a link's address. Quill would turn what it refuses into another address without a word.
import type Quill from 'quill';
import { addressIn, addressOf, placeholder, refusal } from './link';

/** Quill's tooltip, as far as its types do not have it. */
interface LinkTooltip {
  root: HTMLElement;
  textbox: HTMLInputElement;
  preview: HTMLElement;
  linkRange?: unknown;
  edit(mode?: string, preview?: string | null): void;
  save(): void;
  cancel(): void;
}

interface Toolbar {
  addHandler(format: string, handler: (value: unknown) => void): void;
}

let made = 0;

export function mendLinkField(quill: Quill): void {
  const tooltip = (quill.theme as unknown as { tooltip?: LinkTooltip }).tooltip;
  if (!tooltip) return; // plain text has no links
  const { root, textbox } = tooltip;
  textbox.setAttribute('aria-label', 'Link address');
  textbox.dataset.link = placeholder;
  const message = document.createElement('p');
  message.className = 'weft-refusal';
  message.id = `weft-refusal-${++made}`;
  message.setAttribute('role', 'alert');
  root.append(message);

  const refuse = () => {
    textbox.setAttribute('aria-invalid', 'true');
    textbox.setAttribute('aria-describedby', message.id);
    message.textContent = refusal;
    textbox.focus();
  };
  const accept = () => {
    textbox.removeAttribute('aria-invalid');
    textbox.removeAttribute('aria-describedby');
    message.textContent = '';
  };
  textbox.addEventListener('input', accept);

  const edit = tooltip.edit.bind(tooltip);
  tooltip.edit = (mode, preview) => {
    accept();
    edit(mode, preview);
  };
  const save = tooltip.save.bind(tooltip);
  tooltip.save = () => {
    if (tooltip.linkRange && textbox.value === tooltip.preview.textContent) return tooltip.cancel(); // as it was
    if (textbox.value.trim()) {
      const address = addressOf(textbox.value);
      if (!address) return refuse();
      textbox.value = address;
    } else textbox.value = ''; // takes the link away
    save();
  };

  (quill.getModule('toolbar') as Toolbar).addHandler('link', (value) => {
    if (!value) return void quill.format('link', false, 'user');
    const range = quill.getSelection();
    if (range?.length) tooltip.edit('link', addressIn(quill.getText(range)));
  });
}
