// The drawing. Events hold no secrets, so those before a redirect may wait in sessionStorage.

const EVENTS_KEY = 'demo:events'
const list = document.querySelector('#sequence')

/** Draws an event, and keeps it for the page after the redirect. */
export function draw(event, server) {
  const events = JSON.parse(sessionStorage.getItem(EVENTS_KEY) ?? '[]')
  const stamped = { ...event, at: Date.now() }
  // A popup draws for itself; a redirect leaves the page before the drawing is seen.
  sessionStorage.setItem(EVENTS_KEY, JSON.stringify([...events, stamped].slice(-200)))
  append(stamped, server)
}

/** Draws what happened before the redirect. */
export function remembered(server) {
  for (const event of JSON.parse(sessionStorage.getItem(EVENTS_KEY) ?? '[]')) append(event, server)
}

/** Starts over. */
export function clear() {
  sessionStorage.removeItem(EVENTS_KEY)
  list.replaceChildren()
}

function append(event, server) {
  const { side, tone, from, to, title, facts } = arrowFor(event, server)
  const item = document.createElement('li')
  item.className = `${side} ${tone}`
  item.style.setProperty('--from', from)
  item.style.setProperty('--to', to)
  const details = document.createElement('details')
  const summary = document.createElement('summary')
  const label = document.createElement('b')
  label.textContent = title
  const time = document.createElement('small')
  time.textContent = ` ${new Date(event.at).toISOString().slice(14, 23)}`
  summary.append(label, time)
  details.append(summary)
  const entries = Object.entries(facts).filter(([, value]) => value !== undefined)
  if (entries.length > 0) details.append(table(entries))
  details.open = entries.length > 0
  item.append(details)
  list.append(item)
  item.scrollIntoView({ block: 'nearest' })
}

function table(entries) {
  const rows = document.createElement('dl')
  for (const [name, value] of entries) {
    const term = document.createElement('dt')
    const text = document.createElement('dd')
    term.textContent = name
    text.textContent = value === '[redacted]' ? '•••' : value
    text.classList.toggle('secret', value === '[redacted]')
    rows.append(term, text)
  }
  return rows
}

/** The arrow for an event: its lanes and its label. */
function arrowFor(event, server) {
  const path = (url) => url.replace(server, '') || '/'
  const outgoing = { side: 'right', tone: 'page', from: 1, to: 3 }
  const back = { side: 'left', tone: 'server', from: 1, to: 3 }
  const self = { side: 'self', tone: 'page', from: 1, to: 2 }
  switch (event.kind) {
    case 'authorize':
      return { ...outgoing, title: `go to ${path(event.url)}`, facts: event.parameters }
    case 'callback':
      return { ...back, title: 'come back with a code', facts: event.parameters }
    case 'request':
      return { ...outgoing, title: `${event.method} ${path(event.url)}`, facts: event.parameters }
    case 'response': {
      const tone = event.status < 400 ? 'server' : 'bad'
      const facts = event.members.issuer ? { issuer: event.members.issuer } : event.members
      return { ...back, tone, title: `${event.status}, ${event.bytes ?? 'too many'} bytes`, facts }
    }
    case 'api':
      return { ...outgoing, to: 4, title: `${event.method} ${path(event.url)}`, facts: { authorization: '[redacted]' } }
    case 'api-response': {
      const tone = event.status < 400 ? 'api' : 'bad'
      return { ...back, to: 4, tone, title: String(event.status), facts: {} }
    }
    case 'renew':
      return { ...self, title: 'the token is dead: renew it once', facts: {} }
    case 'tab':
      return { ...self, title: event.what, facts: {} }
    case 'lost':
      return { ...self, tone: 'bad', title: `no answer (${event.why})`, facts: {} }
    default:
      return { ...self, title: 'the session is over', facts: {} }
  }
}
