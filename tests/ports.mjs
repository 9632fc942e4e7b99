// Ports for servers that tests start.
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below the ephemeral ports, which systems assign from 32768 on. */
const FIRST = 15_000
const END = 32_768
/** Concurrent processes start at different ports. */
let next = FIRST + Math.floor(Math.random() * (END - FIRST))

/** A port that nobody listens at, and that this process has not been given before. */
export async function freePort() {
  for (;;) {
    const port = next
    next = port + 1 < END ? port + 1 : FIRST
    const probe = createServer().listen(port, '127.0.0.1')
    const isFree = await once(probe, 'listening').then(() => true, () => false)
    if (!isFree) continue
    probe.close()
    await once(probe, 'close')
    return port
  }
}
