/* What SWIG needs to know. The functions appear in Python as they are here, but that `gcd` takes a
   pair, as the other examples' does. The same interface is built twice: with `-threads` every call
   lets go of the interpreter's lock, without it none does. */

%{
#include "gcd.h"
%}

%typemap(in) (long long a, long long b) {
    if (!PyTuple_Check($input))
        SWIG_exception_fail(SWIG_TypeError, "a pair of numbers is needed");
    if (!PyArg_ParseTuple($input, "LL", &$1, &$2))
        SWIG_fail;
}

%include "gcd.h"
