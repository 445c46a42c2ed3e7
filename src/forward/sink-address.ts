/** URL of a sink -> the address without what must not be shown. Pure. */

/** Protocol, host and path, without credentials, query and trailing slashes. */
export function addressOf({ origin, pathname }: URL): string {
  return `${origin}${pathname.replace(/\/+$/, '')}`;
}
