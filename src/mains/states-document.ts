import { writeFileSync } from 'node:fs';
import { statesDocument } from '../docs/states-document.js';

writeFileSync('docs/states.md', statesDocument());
