// The demo page: one session, five buttons, and a drawing of what the package says it does.

import { handleCallback, restore, signIn } from '../js/index.js'
import { clear, draw, remembered } from './sequence.js'

const { server } = await (await fetch('/demo/config.json')).json()
const config = {
  issuer: server,
  loopback: true,
  clientId: 'twin-public',
  redirectUri: `${location.origin}/callback`,
  api: [server],
  observe(event) {
    draw(event, server)
    // Another tab may have ended it.
    if (event.kind === 'end') queueMicrotask(show)
  },
}
const options = { scope: 'read' }
const api = `${server}/api/echo`
let session = null

const actions = {
  redirect: () => signIn(config, options),
  popup: async () => use(await signIn(config, { ...options, mode: 'popup' })),
  restore: async () => use(await restore(config), 'No other tab is signed in.'),
  api: async () => showStatus(`The API answered ${(await session.fetch(api)).status}.`),
  async burst() {
    const replies = await Promise.all(Array.from({ length: 10 }, () => session.fetch(api)))
    showStatus(`Ten answers: ${[...new Set(replies.map((reply) => reply.status))].join(', ')}.`)
  },
  async expire() {
    await fetch(`${server}/_twin/expire`, { method: 'POST', mode: 'no-cors' })
    showStatus('The server has forgotten the access token. The next call meets a 401.')
  },
  tab: () => void window.open('/demo/'),
  async out() {
    await session.signOut()
    showStatus('')
  },
  clear,
}

for (const button of document.querySelectorAll('button')) {
  button.addEventListener('click', () => attempt(actions[button.dataset.do]))
}

remembered(server)
document.querySelector('#facts').textContent = `Authorization server and API: ${server}, a test server that says yes to everyone.`
await attempt(async () => use(await handleCallback(config)))

async function attempt(action) {
  try {
    await action()
  } catch (error) {
    showStatus(error.message, 'bad')
  }
  show()
}

function use(found, otherwise = '') {
  session = found
  showStatus(found ? '' : otherwise)
}

function showStatus(text, tone = '') {
  const status = document.querySelector('#status')
  status.textContent = text
  status.className = tone
  status.dataset.said = text
}

function show() {
  const isIn = session?.signedIn ?? false
  document.querySelector('#signed-in').hidden = !isIn
  document.querySelector('#signed-out').hidden = isIn
  const status = document.querySelector('#status')
  if (status.dataset.said) return
  status.textContent = isIn ? `Signed in, scope ${session.scope}.` : 'Signed out.'
}
