// Monitors whether the user is still signed in at the server, by messages to the server's own frame (OpenID Connect
// Session Management 1.0 section 3.1). The frame has to read its storage: browsers may partition that of another site,
// and then the server answers `error` or `changed`.

/** The pause between checks of the frame, in milliseconds. */
const POLL_INTERVAL_MS = 2000

/**
 * Asks the server's frame until the session changes, an error is reported or `stop` is called. Without a session state
 * nothing is asked, and there is nothing to stop: `undefined`.
 */
export function monitorSession({ checkSessionIframe, clientId, sessionState, onChange, onError, intervalMs = POLL_INTERVAL_MS }) {
  // "It MUST NOT contain the space character": the server could not tell it from the client's id.
  if (!sessionState || sessionState.includes(' ')) return undefined
  const { origin, protocol, hostname } = new URL(checkSessionIframe)
  if (protocol !== 'https:' && hostname !== '127.0.0.1' && hostname !== '[::1]') throw new TypeError(`not an https URL: ${checkSessionIframe}`)
  const frame = document.createElement('iframe')
  frame.hidden = true
  frame.title = ''
  let timer
  const poll = () => frame.contentWindow?.postMessage(`${clientId} ${sessionState}`, origin)
  const stop = () => {
    clearInterval(timer)
    removeEventListener('message', onMessage)
    frame.remove()
  }
  const onMessage = ({ origin: from, source, data }) => {
    // Any page can post a message: it must come from the server's origin and from this frame.
    if (from !== origin || source !== frame.contentWindow) return
    if (data !== 'changed' && data !== 'error') return
    // Reported once: a login without a prompt for each answer could repeat forever.
    stop()
    if (data === 'changed') onChange?.()
    else onError?.()
  }
  frame.addEventListener('load', () => {
    clearInterval(timer)
    timer = setInterval(poll, intervalMs)
    poll()
  })
  addEventListener('message', onMessage)
  frame.src = checkSessionIframe
  document.body.append(frame)
  return { stop }
}
