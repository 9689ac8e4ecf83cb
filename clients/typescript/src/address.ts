/** Return the address of a suite as transports want it; throws TypeError for what is no URL. */
export function baseUrlOf(address: string): string {
  if (!/^https?:\/\/[^/]/.test(address)) {
    throw new TypeError(`the address must begin with http:// or https://: ${address}`);
  }
  return address.replace(/\/+$/, "");
}
