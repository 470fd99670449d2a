"""JWTs by which a portal identifies its customers: HS256 with a shared secret, RS256 or ES256 with a public key.

The key decides the algorithm, never the token. https://www.rfc-editor.org/rfc/rfc8725
"""

from __future__ import annotations

from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from bot.channels.errors import ApiError
from bot.problems import RapportError
from bot.settings import Settings

_SKEW_S = 10  # by which the portal's clock may differ from ours
_MOST_CHARS = 8192  # of a token
_SHORTEST_RSA = 2048  # bits, RFC 7518 section 3.3
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "It has expired; ask the portal for a new one."),
    (jwt.ImmatureSignatureError, "It does not count yet; check the clock of the portal's server."),
    (jwt.InvalidAudienceError, "It is for another audience than RAPPORT_JWT_AUDIENCE says."),
    (jwt.MissingRequiredClaimError, "It must have `sub` and `exp`, and `aud` where RAPPORT_JWT_AUDIENCE is set."),
    (jwt.exceptions.InvalidSubjectError, "Its `sub` must be a text."),
    (jwt.InvalidSignatureError, "Its signature is not the portal's, or it was altered."),
)


class Jwts:
    """Checks the JWTs of one portal."""

    def __init__(self, settings: Settings) -> None:
        """Read the keys.

        Raises:
            RapportError: the public key's file cannot be read or holds no key that can be used.
        """
        self._audience = settings.jwt_audience or None
        self._keys: dict[str, str | RSAPublicKey | EllipticCurvePublicKey] = {}
        if secret := settings.jwt_secret.get_secret_value():
            self._keys["HS256"] = secret
        if settings.jwt_public_key is not None:
            key = _public_key(settings.jwt_public_key)
            self._keys["RS256" if isinstance(key, RSAPublicKey) else "ES256"] = key

    def subject(self, token: str) -> str:
        """Return the `sub` of a token that is genuine and counts now.

        Raises:
            ApiError: it is not, or there is no key to tell by (401).
        """
        if not self._keys:
            raise _refused("This server takes none: set RAPPORT_JWT_SECRET or RAPPORT_JWT_PUBLIC_KEY.")
        if len(token) > _MOST_CHARS:
            raise _refused(f"It has more than {_MOST_CHARS} characters.")
        try:
            algorithm = str(jwt.get_unverified_header(token).get("alg"))
            if algorithm not in self._keys:
                raise _refused(f"It must be signed by {' or '.join(self._keys)}, not {algorithm[:16]!r}.")
            claims = jwt.decode(
                token,
                self._keys[algorithm],
                algorithms=[algorithm],
                audience=self._audience,
                leeway=_SKEW_S,
                options={"require": ["sub", "exp", *(["aud"] if self._audience else [])]},
            )
        except jwt.PyJWTError as error:
            raise _refused(next((why for kind, why in _REASONS if isinstance(error, kind)), "It is none.")) from None
        except (ValueError, TypeError, OverflowError, RecursionError):  # what parsers raise for what is no JWT at all
            raise _refused("It is none.") from None
        return str(claims["sub"])


def _refused(why: str) -> ApiError:
    return ApiError(401, "bad_token", f"The JWT is refused. {why}")


def _public_key(path: Path) -> RSAPublicKey | EllipticCurvePublicKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RapportError(f"RAPPORT_JWT_PUBLIC_KEY: {path} holds no public key in PEM form ({error}).") from None
    if isinstance(key, RSAPublicKey) and key.key_size >= _SHORTEST_RSA:
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise RapportError(
        f"RAPPORT_JWT_PUBLIC_KEY: {path} must be an RSA key of at least {_SHORTEST_RSA} bits (RS256) "
        "or an EC key on P-256 (ES256)."
    )
