// The same page with openid-client.
import * as oidc from 'openid-client'

const redirectUri = 'https://app.example/callback'
const config = await oidc.discovery(new URL('https://as.example'), 'app', undefined, oidc.None())
const storedFlow = JSON.parse(sessionStorage.getItem('flow'))
if (storedFlow && location.search) {
  sessionStorage.removeItem('flow')
  const callback = new URL(location.href)
  history.replaceState(null, '', redirectUri)
  let tokens = await oidc.authorizationCodeGrant(config, callback, {
    expectedState: storedFlow.state,
    expectedNonce: storedFlow.nonce,
    pkceCodeVerifier: storedFlow.verifier,
  })
  let end = Date.now() + tokens.expires_in * 1000
  const call = async (url) => {
    if (Date.now() > end - 30_000) {
      tokens = { ...tokens, ...(await oidc.refreshTokenGrant(config, tokens.refresh_token)) }
      end = Date.now() + tokens.expires_in * 1000
    }
    return oidc.fetchProtectedResource(config, tokens.access_token, new URL(url), 'GET')
  }
  const reply = await call('https://api.example/me')
  document.body.textContent = await reply.text()
} else {
  document.querySelector('button').onclick = async () => {
    const flow = {
      state: oidc.randomState(),
      nonce: oidc.randomNonce(),
      verifier: oidc.randomPKCECodeVerifier(),
    }
    sessionStorage.setItem('flow', JSON.stringify(flow))
    const url = oidc.buildAuthorizationUrl(config, {
      redirect_uri: redirectUri,
      scope: 'openid offline_access',
      state: flow.state,
      nonce: flow.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(flow.verifier),
      code_challenge_method: 'S256',
    })
    location.assign(url)
  }
}
