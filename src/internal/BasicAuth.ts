/**
 * The user name and the password that an address can hold. They travel in a header of their own, which is set where
 * nobody prints it, and are taken out of the address before anything else sees it.
 */

/** The address without them. */
export const withoutPassword = (url: URL): URL => {
  const bare = new URL(url)
  bare.username = ""
  bare.password = ""
  return bare
}

/** The value of the header by which they are told; `undefined` where the address holds none. */
export const authorizationOf = ({ password, username }: URL): string | undefined =>
  username === "" && password === ""
    ? undefined
    : `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64")}`
