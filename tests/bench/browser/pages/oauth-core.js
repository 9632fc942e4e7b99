// Sign in by redirect with PKCE, come back, and keep the token fresh: with this package.
import { handleCallback, signIn } from '../../../../bindings/wasm/js/index.js'

const config = {
  issuer: 'https://as.example',
  clientId: 'app',
  redirectUri: 'https://app.example/callback',
  api: ['https://api.example'],
}
const session = await handleCallback(config)
if (session) {
  const reply = await session.fetch('https://api.example/me')
  document.body.textContent = await reply.text()
} else {
  document.querySelector('button').onclick = () => signIn(config, { scope: 'openid offline_access' })
}
