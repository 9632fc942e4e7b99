// Who signed in, when a page knows only the tokens.

/** Whom an ID token names that this page, or another tab of it, has verified at the sign-in. */
export function subjectOf(idToken) {
  if (idToken === undefined) return undefined
  const payload = idToken.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')
  return JSON.parse(atob(payload)).sub
}
