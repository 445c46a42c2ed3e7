/** The files of the page, read once at the start: nothing a request says ever becomes a path. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface PageFile {
  /** Where it is served. */
  readonly url: string;
  readonly contentType: string;
  readonly content: Buffer;
  readonly etag: string;
}

const FILES: Readonly<Record<string, string>> = {
  'index.html': 'text/html; charset=utf-8',
  'theme.css': 'text/css; charset=utf-8',
  'page.css': 'text/css; charset=utf-8',
  'card.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
  'app.js': 'text/javascript; charset=utf-8',
  'card.js': 'text/javascript; charset=utf-8',
  'dom.js': 'text/javascript; charset=utf-8',
  'format.js': 'text/javascript; charset=utf-8',
  'header.js': 'text/javascript; charset=utf-8',
};

/** Every file of `page/`; `index.html` is served as `/`. */
export function readPageFiles(): PageFile[] {
  const folder = new URL('./page/', import.meta.url);
  return Object.entries(FILES).map(([name, contentType]) => {
    const content = readFileSync(new URL(name, folder));
    return {
      url: name === 'index.html' ? '/' : `/page/${name}`,
      contentType,
      content,
      etag: `"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`,
    };
  });
}
