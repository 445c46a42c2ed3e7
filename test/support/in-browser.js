/** Questions that a test asks inside the browser. Each function travels there as text, so none uses another. */

/** Texts whose contrast to their background is below WCAG 2.1 AA: 4.5, or 3 for large type. */
export function lowContrast() {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const linear = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const background = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '');
    if (!own || element.closest('.unseen, .skip, noscript, [hidden]') !== null) continue;
    const style = getComputedStyle(element);
    const a = luminance(parse(style.color));
    const b = luminance(background(element));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return found;
}

/** How many pixels the page is wider than the screen; at most 0 where it fits. */
export function sidewaysScroll() {
  return document.documentElement.scrollWidth - window.innerWidth;
}

/** True if one of the hostile texts ran. */
export function isPwned() {
  return 'pwned' in window;
}

/** What becomes of a script that a page script tries to make from text. */
export function injectScript() {
  const script = document.createElement('script');
  try {
    script.textContent = 'window.pwned = 1';
    document.body.append(script);
  } catch {
    return 'refused';
  }
  return 'pwned' in window ? 'ran' : 'without effect';
}

/** Where everything on the page was loaded from. */
export function resourceOrigins() {
  return performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin);
}

/** Longest time in ms that the page kept the browser from reacting, over the next four seconds. */
export function longestTask() {
  return new Promise((resolve) => {
    let worst = 0;
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) worst = Math.max(worst, entry.duration);
    });
    observer.observe({ type: 'longtask' });
    setTimeout(() => resolve(worst), 4_000);
  });
}
