// Ports for servers that tests start.
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Systems give connections, and listeners that ask for any port, those from 32768 on: these are left to who names them. */
const FIRST = 15_000
const END = 32_768
/** Processes that run beside each other begin elsewhere. */
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
