// Finds credentials in the form body of a request to an API.

/** Reports an `access_token` in a form body, as if it were an `Authorization` header: ours would be a second one (RFC 6750 section 2). */
export async function credentials(request) {
  const form = new URLSearchParams(await request.clone().text())
  return form.has('access_token') ? [['authorization', 'form']] : []
}
