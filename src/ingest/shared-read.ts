/**
 * An accepted socket enters, a socket that reads into one buffer shared by all connections leaves.
 *
 * By default the runtime allocates 64 KiB for every read and trims it afterwards, which costs more than everything the
 * gateway does with a small message. Client sockets can be given a buffer (`onread`); accepted ones can not, so the
 * connection's handle is moved to a socket that was. Where the runtime has no such handle the socket stays as it is.
 */

import { Socket } from 'node:net';

/** One read takes at most this much. */
export const READ_BYTES = 65_536;

const buffer = Buffer.allocUnsafeSlow(READ_BYTES);

/**
 * @param accepted from a server with `pauseOnConnect`; not to be used afterwards
 * @param onBytes the chunk is valid only during the call
 */
export function readShared(accepted: Socket, onBytes: (chunk: Buffer) => void): Socket {
  const owner = accepted as unknown as { _handle: object | null };
  const handle = owner._handle;
  if (handle === null || typeof (handle as { useUserBuffer?: unknown }).useUserBuffer !== 'function') {
    accepted.on('data', onBytes);
    accepted.resume();
    return accepted;
  }
  owner._handle = null;
  return new Socket({
    handle,
    allowHalfOpen: false,
    readable: true,
    writable: true,
    onread: {
      buffer,
      callback: (bytes: number) => {
        onBytes(bytes === READ_BYTES ? buffer : buffer.subarray(0, bytes));
        return true;
      },
    },
  } as ConstructorParameters<typeof Socket>[0]);
}
