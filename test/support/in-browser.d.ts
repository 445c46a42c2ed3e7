/** Types of `in-browser.js`, which runs where the names of the DOM exist. */

export function lowContrast(): string[];
export function sidewaysScroll(): number;
export function isPwned(): boolean;
export function injectScript(): 'refused' | 'ran' | 'without effect';
export function resourceOrigins(): string[];
export function longestTask(): Promise<number>;
