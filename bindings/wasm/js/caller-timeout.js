// A caller's own patience: it ends the caller's wait, and nothing that others wait for too.

/** The longest that any timer can wait, in milliseconds: beyond it, one fires at once. */
const MAX_TIMER = 2 ** 31 - 1

/** What `work` gives, unless the caller leaves before: by its signal, or after `timeoutMs`. */
export async function wait(work, { signal, timeoutMs } = {}, { lateError }) {
  if (timeoutMs !== undefined && !(timeoutMs > 0)) {
    throw new TypeError('timeoutMs must be a positive number of milliseconds')
  }
  signal?.throwIfAborted()
  const left = new AbortController()
  const leaving = new Promise((_, reject) => {
    const abort = () => reject(signal.reason)
    signal?.addEventListener('abort', abort, { signal: left.signal })
    if (timeoutMs === undefined) return
    const timer = setTimeout(() => reject(lateError()), Math.min(timeoutMs, MAX_TIMER))
    left.signal.addEventListener('abort', () => clearTimeout(timer))
  })
  try {
    return await Promise.race([work(), leaving])
  } finally {
    left.abort()
  }
}
