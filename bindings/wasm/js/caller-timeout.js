// The timeout and signal of one caller: they end only its own wait, not work that other callers wait for.

/** The longest that any timer can wait, in milliseconds: beyond it, one fires at once. */
const MAX_TIMER = 2 ** 31 - 1

/** Waits for `work`, until `signal` aborts or `timeoutMs` has passed. */
export async function wait(work, { signal, timeoutMs } = {}, { lateError }) {
  if (timeoutMs !== undefined && !(timeoutMs > 0)) {
    throw new TypeError('timeoutMs must be a positive number of milliseconds')
  }
  signal?.throwIfAborted()
  const finished = new AbortController()
  const leaving = new Promise((_, reject) => {
    const abort = () => reject(signal.reason)
    signal?.addEventListener('abort', abort, { signal: finished.signal })
    if (timeoutMs === undefined) return
    const timer = setTimeout(() => reject(lateError()), Math.min(timeoutMs, MAX_TIMER))
    finished.signal.addEventListener('abort', () => clearTimeout(timer))
  })
  try {
    return await Promise.race([work(), leaving])
  } finally {
    finished.abort()
  }
}
