const MAPPED = /^(?:::|(?:0{1,4}:){5})ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i;

/**
 * A client's address as Cedar's `ip` takes it. IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), which a dual-stack socket
 * reports, becomes the IPv4 address that a policy means; a zone (RFC 4007) is dropped. A range is no address.
 */
export function networkAddress(text: string): string {
  if (text.includes('/')) throw new TypeError('not a network address');
  const zone = text.indexOf('%');
  const address = zone === -1 ? text : text.slice(0, zone);
  const mapped = MAPPED.exec(address);
  if (mapped === null) return address;
  const [, dotted, high, low] = mapped;
  if (dotted !== undefined) return dotted;
  const bits = [high, low].map((group) => Number.parseInt(group ?? '', 16));
  return bits.flatMap((group) => [group >> 8, group & 0xff]).join('.');
}
