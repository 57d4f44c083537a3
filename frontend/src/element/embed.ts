// The element as one module: <script type="module" src="…/embed.js"></script>
import { define } from './weft-editor';

export { connect } from '../client';
export { WeftEditor } from './weft-editor';

define();
